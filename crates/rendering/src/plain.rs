//! Blocks as plain text.

use types::Channel;

use crate::content::Block;

/// Paragraphs with an empty line between them. Where nobody sees the actions by themselves they are
/// part of the text.
pub(crate) fn text(blocks: &[Block], channel: Channel) -> String {
    let with_actions = match channel {
        Channel::Email | Channel::Sms => true,
        Channel::DirectMessage | Channel::Push | Channel::Webhook | Channel::Inbox => false,
    };
    let paragraphs: Vec<String> = blocks
        .iter()
        .filter_map(|block| match block {
            Block::Text { text, .. } => Some(text.trim_end().to_owned()),
            Block::Quote { text, .. } => Some(quoted(text)),
            Block::Action { label, href, .. } => with_actions.then(|| format!("{label}: {href}")),
            Block::Divider { .. } => Some("---".to_owned()),
            Block::Image { alt, .. } if channel == Channel::Email => alt.clone(),
            Block::Image { .. } => None,
            Block::Html(html) => Some(without_tags(html)),
        })
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    paragraphs.join("\n\n")
}

fn quoted(text: &str) -> String {
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| format!("> {line}"))
        .collect();
    lines.join("\n")
}

/// The words of a piece of HTML: enough for those who read no HTML, and no more than that.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        text.push(' ');
        let tag = &rest[start..];
        let is = |name: &str| {
            tag.get(1..=name.len())
                .is_some_and(|tag| tag.eq_ignore_ascii_case(name))
        };
        let end = if is("style") {
            tag.find("</style").map_or(tag.len(), |end| end + 1)
        } else if is("script") {
            tag.find("</script").map_or(tag.len(), |end| end + 1)
        } else {
            0
        };
        rest = tag[end..]
            .find('>')
            .map_or("", |close| &tag[end + close + 1..]);
    }
    text.push_str(rest);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut text = words.join(" ");
    // The ampersand comes last, or what it escapes would be taken for an entity.
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#61;", "="),
        ("&#96;", "`"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    text
}
