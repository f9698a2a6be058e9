//! How elements look: the members that are no templates. What is not well-formed is ignored, so that
//! none of them can be more in HTML than what it says.

use serde_json::Value;

use crate::brand::is_hex_color;

/// The looks of an element; each kind of element heeds what it has a use for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) align: Option<Align>,
    pub(crate) style: TextStyle,
    pub(crate) prominence: Prominence,
    pub(crate) emphasis: Emphasis,
    /// Of a text or a divider.
    pub(crate) color: Option<String>,
    pub(crate) background_color: Option<String>,
    pub(crate) border_color: Option<String>,
    /// In pixels or per cent.
    pub(crate) width: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TextStyle {
    #[default]
    Text,
    H1,
    H2,
    H3,
    Subtext,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Prominence {
    #[default]
    Button,
    Secondary,
    Tertiary,
    Link,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each mark is there or not, whatever the others are"
)]
pub(crate) struct Emphasis {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) strikethrough: bool,
    pub(crate) underline: bool,
}

impl Look {
    pub(crate) fn of(element: &Value) -> Self {
        let text = |name: &str| element.get(name).and_then(Value::as_str).map(str::trim);
        let color = |name: &str| {
            text(name)
                .filter(|color| is_color(color))
                .map(str::to_owned)
        };
        Self {
            align: match text("align") {
                Some("left") => Some(Align::Left),
                Some("center" | "full") => Some(Align::Center),
                Some("right") => Some(Align::Right),
                _ => None,
            },
            style: match text("text_style") {
                Some("h1") => TextStyle::H1,
                Some("h2") => TextStyle::H2,
                Some("h3") => TextStyle::H3,
                Some("subtext") => TextStyle::Subtext,
                _ => TextStyle::Text,
            },
            prominence: match text("style") {
                Some("secondary") => Prominence::Secondary,
                Some("tertiary") => Prominence::Tertiary,
                Some("link") => Prominence::Link,
                _ => Prominence::Button,
            },
            emphasis: Emphasis {
                bold: is_set(element.get("bold")),
                italic: is_set(element.get("italic")),
                strikethrough: is_set(element.get("strikethrough")),
                underline: is_set(element.get("underline")),
            },
            color: color("color"),
            background_color: color("background_color"),
            border_color: color("border_color"),
            width: text("width")
                .filter(|width| is_width(width))
                .map(str::to_owned),
        }
    }
}

/// Courier declares the marks as texts.
fn is_set(mark: Option<&Value>) -> bool {
    match mark {
        Some(Value::Bool(set)) => *set,
        Some(Value::String(text)) => !matches!(text.as_str(), "" | "false"),
        _ => false,
    }
}

fn is_color(color: &str) -> bool {
    let is_name =
        (3..=24).contains(&color.len()) && color.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_name || is_hex_color(color)
}

fn is_width(width: &str) -> bool {
    let number = width
        .strip_suffix("px")
        .or_else(|| width.strip_suffix('%'))
        .unwrap_or(width);
    (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}
