use rendering::{Content, ContentError};
use serde_json::json;

#[test]
fn content_that_cannot_be_read_is_refused_where_it_is_wrong() {
    for (content, pointer) in [
        (json!(null), ""),
        (json!({ "title": "a" }), ""),
        (json!({ "body": 1 }), "/body"),
        (json!({ "body": "{{ a" }), "/body"),
        (json!({ "body": "{{ a|unknown }}" }), "/body"),
        (
            json!({ "title": "{% include 'x' %}", "body": "" }),
            "/title",
        ),
        (json!({ "elements": {} }), "/elements"),
        (json!({ "elements": [1] }), "/elements/0"),
        (
            json!({ "elements": [{ "type": "marquee" }] }),
            "/elements/0/type",
        ),
        (
            json!({ "elements": [{ "type": "text" }] }),
            "/elements/0/content",
        ),
        (
            json!({ "elements": [{ "type": "divider" }, { "type": "action", "content": "a" }] }),
            "/elements/1/href",
        ),
        (
            json!({ "elements": [{ "type": "divider", "if": "a ==" }] }),
            "/elements/0/if",
        ),
        (
            json!({ "elements": [{ "type": "divider", "loop": 1 }] }),
            "/elements/0/loop",
        ),
        (
            json!({ "elements": [{ "type": "divider", "channels": "sms" }] }),
            "/elements/0/channels",
        ),
        (
            json!({ "elements": [{ "type": "text", "content": "a", "locales": { "d/e": { "content": "{{" } } }] }),
            "/elements/0/locales/d~1e/content",
        ),
        (
            json!({ "elements": [{ "type": "channel", "elements": [] }] }),
            "/elements/0/channel",
        ),
        (
            json!({ "elements": [{ "type": "channel", "channel": "sms" }] }),
            "/elements/0",
        ),
        (
            json!({ "elements": [{ "type": "channel", "channel": "sms", "elements": [{ "type": "channel" }] }] }),
            "/elements/0/elements/0/type",
        ),
        (
            json!({ "elements": [{ "type": "channel", "channel": "email", "raw": { "html": "{{" } }] }),
            "/elements/0/raw/html",
        ),
    ] {
        let refusal = Content::parse(&content).map(|_| ());
        let ContentError {
            pointer: at,
            message,
        } = refusal.expect_err(&content.to_string());
        assert_eq!(at, pointer, "{content}: {message}");
        assert!(!message.is_empty());
    }
}

#[test]
fn what_is_not_known_is_tolerated() {
    let content = json!({ "version": 2, "new": 1, "elements": [
        { "type": "text", "content": "a", "format": "markdown", "ref": "x", "color": "url(x)", "padding": "1px" },
    ] });
    assert!(Content::parse(&content).is_ok());
}

#[test]
fn content_is_shared_between_threads() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<Content>();
}
