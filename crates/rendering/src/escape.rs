//! Text inside HTML.

/// Escapes what is put between tags or between the quotes of an attribute.
pub(crate) fn html(text: &str) -> String {
    escaped(text, false)
}

/// Escapes what may stand in an attribute without quotes as well: there `=` would begin the value
/// of another attribute, such as `onclick`.
pub(crate) fn html_anywhere(text: &str) -> String {
    escaped(text, true)
}

fn escaped(text: &str, anywhere: bool) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '=' if anywhere => html.push_str("&#61;"),
            '`' if anywhere => html.push_str("&#96;"),
            // No meaning in HTML, and browsers differ in what they make of it.
            '\0' => html.push('\u{fffd}'),
            _ => html.push(character),
        }
    }
    html
}
