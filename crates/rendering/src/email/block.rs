use crate::content::{Align, Block, Emphasis, Look, Prominence, TextStyle};
use crate::escape;

/// One block, with a colour for what can be clicked and has none of its own.
pub(crate) fn html(block: &Block, primary: &str) -> String {
    match block {
        Block::Text { text, look } => paragraph(text, look),
        Block::Quote { text, look } => quote(text, look, primary),
        Block::Action { label, href, look } => action(label, href, look, primary),
        Block::Image {
            src,
            href,
            alt,
            look,
        } => image(src, href.as_deref(), alt.as_deref(), look),
        Block::Divider { look } => {
            let color = look.color.as_deref().unwrap_or("#e4e4e7");
            format!("<hr style=\"border:0;border-top:1px solid {color};margin:16px 0\">\n")
        }
        Block::Html(html) => format!("{html}\n"),
    }
}

/// Escaped text whose line breaks are seen.
pub(crate) fn lines(text: &str) -> String {
    escape::html(text.trim_end())
        .replace("\r\n", "\n")
        .replace(['\r', '\n'], "<br>\n")
}

fn paragraph(text: &str, look: &Look) -> String {
    let (tag, size) = match look.style {
        TextStyle::Text => ("p", ""),
        TextStyle::H1 => ("h1", ";font-size:28px;line-height:1.25"),
        TextStyle::H2 => ("h2", ";font-size:22px;line-height:1.3"),
        TextStyle::H3 => ("h3", ";font-size:18px;line-height:1.35"),
        TextStyle::Subtext => ("p", ";font-size:13px;color:#71717a"),
    };
    let color = look
        .color
        .as_ref()
        .map_or_else(String::new, |color| format!(";color:{color}"));
    let (align, emphasis) = (align(look.align, Align::Left), emphasis(look.emphasis));
    let text = lines(text);
    format!(
        "<{tag} style=\"margin:0 0 16px;text-align:{align}{size}{color}{emphasis}\">{text}</{tag}>\n"
    )
}

fn quote(text: &str, look: &Look, primary: &str) -> String {
    let border = look.border_color.as_deref().unwrap_or(primary);
    let (align, text) = (align(look.align, Align::Left), lines(text));
    format!(
        "<blockquote style=\"margin:0 0 16px;padding:4px 16px;border-left:4px solid {border};\
         text-align:{align}\">{text}</blockquote>\n"
    )
}

fn action(label: &str, href: &str, look: &Look, primary: &str) -> String {
    let color = look.background_color.as_deref().unwrap_or(primary);
    let style = match look.prominence {
        Prominence::Button => {
            format!(
                "display:inline-block;padding:10px 20px;border-radius:4px;background:{color};color:#ffffff;text-decoration:none"
            )
        }
        Prominence::Secondary => {
            format!(
                "display:inline-block;padding:9px 19px;border-radius:4px;border:1px solid {color};color:{color};text-decoration:none"
            )
        }
        Prominence::Tertiary => format!("color:{color};text-decoration:underline"),
        // A link takes no colour of its own.
        Prominence::Link => format!("color:{primary}"),
    };
    let align = align(look.align, Align::Center);
    let (label, href) = (escape::html(label), escape::html(href));
    format!(
        "<p style=\"margin:0 0 16px;text-align:{align}\"><a href=\"{href}\" style=\"{style}\">{label}</a></p>\n"
    )
}

fn image(src: &str, href: Option<&str>, alt: Option<&str>, look: &Look) -> String {
    let width = look.width.as_ref().map_or_else(String::new, |width| {
        let unit = if width.ends_with(|last: char| last.is_ascii_digit()) {
            "px"
        } else {
            ""
        };
        format!("width:{width}{unit};")
    });
    let (src, alt) = (escape::html(src), escape::html(alt.unwrap_or_default()));
    let image =
        format!("<img src=\"{src}\" alt=\"{alt}\" style=\"{width}max-width:100%;border:0\">");
    let image = match href {
        Some(href) => format!("<a href=\"{}\">{image}</a>", escape::html(href)),
        None => image,
    };
    let align = align(look.align, Align::Center);
    format!("<p style=\"margin:0 0 16px;text-align:{align}\">{image}</p>\n")
}

fn align(align: Option<Align>, otherwise: Align) -> &'static str {
    match align.unwrap_or(otherwise) {
        Align::Left => "left",
        Align::Center => "center",
        Align::Right => "right",
    }
}

fn emphasis(emphasis: Emphasis) -> String {
    let mut style = String::new();
    if emphasis.bold {
        style.push_str(";font-weight:bold");
    }
    if emphasis.italic {
        style.push_str(";font-style:italic");
    }
    match (emphasis.underline, emphasis.strikethrough) {
        (true, true) => style.push_str(";text-decoration:underline line-through"),
        (true, false) => style.push_str(";text-decoration:underline"),
        (false, true) => style.push_str(";text-decoration:line-through"),
        (false, false) => {}
    }
    style
}
