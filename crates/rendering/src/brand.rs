use serde_json::{Value, json};

use crate::address;

/// How messages in somebody's name look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    pub(crate) name: String,
    pub(crate) primary: Option<String>,
    pub(crate) secondary: Option<String>,
    pub(crate) tertiary: Option<String>,
    pub(crate) bar_color: Option<String>,
    pub(crate) logo_image: Option<String>,
    pub(crate) logo_href: Option<String>,
    /// Plain text; marks of Markdown stay as they are.
    pub(crate) footer: Option<String>,
}

impl Brand {
    /// Takes what is there and well-formed from the settings of a brand, in the form of Courier, and
    /// ignores the rest: a brand is no reason not to tell somebody something.
    pub fn of(name: &str, settings: Option<&Value>) -> Brand {
        let text = |pointer: &str| settings?.pointer(pointer)?.as_str().map(str::trim);
        let color = |pointer: &str| {
            text(pointer)
                .filter(|color| is_hex_color(color))
                .map(str::to_owned)
        };
        let address = |pointer: &str| {
            text(pointer)
                .filter(|address| address::is_allowed_in_html(address))
                .map(str::to_owned)
        };
        let footer = text("/email/footer/content").or_else(|| text("/email/footer/markdown"));
        Brand {
            name: name.to_owned(),
            primary: color("/colors/primary"),
            secondary: color("/colors/secondary"),
            tertiary: color("/colors/tertiary"),
            bar_color: color("/email/header/barColor"),
            logo_image: address("/email/header/logo/image"),
            logo_href: address("/email/header/logo/href"),
            footer: footer
                .filter(|footer| !footer.is_empty())
                .map(str::to_owned),
        }
    }

    /// What templates see as `brand`; what is not set is null, and so counts as missing.
    pub(crate) fn variables(&self) -> Value {
        json!({
            "name": self.name,
            "colors": {
                "primary": self.primary,
                "secondary": self.secondary,
                "tertiary": self.tertiary,
            },
            "logo": { "image": self.logo_image, "href": self.logo_href },
        })
    }
}

/// Whether this is `#rgb` or `#rrggbb`.
pub(crate) fn is_hex_color(color: &str) -> bool {
    color.strip_prefix('#').is_some_and(|digits| {
        matches!(digits.len(), 3 | 6) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}
