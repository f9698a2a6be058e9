use std::time::{Duration, Instant};

use rendering::{Content, RenderError, limits};
use serde_json::json;
use types::Channel;

use crate::{Given, elements, sugar};

#[test]
fn work_ends() {
    let nested = "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}\
                  {% if big|upper|lower == 'x' %}x{% endif %}{% endfor %}{% endfor %}{% endfor %}";
    let repeated = elements(&json!([
        { "type": "text", "loop": "range(1000)", "content": "{% for a in range(500) %}{% endfor %}" },
    ]));
    let given = Given::data(json!({ "big": "a".repeat(limits::FILTER_BYTES_MAX) }));
    for content in [sugar("", nested), repeated] {
        let start = Instant::now();
        assert_eq!(
            given.render(&content, Channel::Push),
            Err(RenderError::TooMuchWork)
        );
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn output_ends() {
    let max_bytes = limits::OUTPUT_BYTES_MAX;
    let too_large = Err(RenderError::TooLarge { max_bytes });
    let given = Given::data(
        json!({ "big": "a".repeat(max_bytes / 10), "tags": "<".repeat(max_bytes / 2) }),
    );
    let body = "{% for a in range(11) %}{{ big }}{% endfor %}";
    assert_eq!(given.render(&sugar("", body), Channel::Push), too_large);
    assert_eq!(
        given.render(&sugar("", "{{ tags }}"), Channel::Email),
        too_large
    );
    assert!(
        given
            .render(&sugar("", "{{ tags }}"), Channel::Push)
            .is_ok()
    );
    let loops = elements(&json!([{ "type": "text", "loop": "range(11)", "content": "{{ big }}" }]));
    assert_eq!(given.render(&loops, Channel::Push), too_large);
}

#[test]
fn loops_and_filters_take_so_much_and_no_more() {
    let given = Given::data(json!({ "many": vec![1; limits::LOOP_ITEMS_MAX + 1] }));
    let looped = elements(&json!([{ "type": "text", "loop": "many", "content": "a" }]));
    for content in [
        looped,
        sugar("", "{{ many|join }}"),
        sugar("", "{{ range(1001) }}"),
    ] {
        let refusal = given.render(&content, Channel::Push);
        assert!(
            matches!(refusal, Err(RenderError::Template { .. })),
            "{refusal:?}"
        );
    }
}

#[test]
fn content_has_a_size() {
    let long = "a".repeat(limits::TEMPLATE_BYTES_MAX + 1);
    assert_eq!(
        Content::parse(&sugar("", &long)).unwrap_err().pointer,
        "/body"
    );
    let full = json!({ "type": "text", "content": "a".repeat(limits::TEMPLATE_BYTES_MAX) });
    assert_eq!(
        Content::parse(&elements(&json!(vec![full; 5])))
            .unwrap_err()
            .pointer,
        "/elements/4/content"
    );
    let many = vec![json!({ "type": "divider" }); limits::ELEMENTS_MAX + 1];
    assert_eq!(
        Content::parse(&elements(&json!(many))).unwrap_err().pointer,
        "/elements/500"
    );
}
