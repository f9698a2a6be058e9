use rendering::RenderError;
use serde_json::json;
use types::Channel;

use crate::{Given, elements, sugar};

const SCRIPT: &str = "<script>\"'&";

#[test]
fn a_variable_is_itself_in_text_and_escaped_in_html() {
    let given = Given::data(json!({ "a": SCRIPT }));
    let rendered = given
        .render(&sugar("{{ a }}", "{{ a }}"), Channel::Email)
        .unwrap();
    assert_eq!(rendered.title.as_deref(), Some(SCRIPT));
    assert_eq!(rendered.text, SCRIPT);
    let html = rendered.html.unwrap();
    assert!(!html.contains("<script>"));
    assert_eq!(html.matches("&lt;script&gt;&quot;&#39;&amp;").count(), 2);
}

#[test]
fn a_variable_does_not_leave_an_attribute() {
    let given = Given::data(json!({ "a": "\" onerror=\"x' onload=y `" }));
    let content = elements(&json!([
        { "type": "image", "src": "https://a.example/{{ a }}", "alt_text": "{{ a }}" },
        { "type": "action", "content": "{{ a }}", "href": "https://a.example/{{ a }}" },
        { "type": "html", "content": "<p title=\"{{ a }}\" lang='{{ a }}' id={{ a }}></p>" },
    ]));
    let html = given
        .render(&content, Channel::Email)
        .unwrap()
        .html
        .unwrap();
    assert!(!html.contains("\" onerror") && !html.contains("' onload"));
    assert!(html.contains("id=&quot; onerror&#61;&quot;x&#39; onload&#61;y &#96;></p>"));
}

#[test]
fn no_filter_and_no_tag_switches_the_escaping_off() {
    let given = Given::data(json!({ "a": "<b>", "l": ["<i>"] }));
    let content = elements(&json!([{
        "type": "html",
        "content": "{{ a|upper }}{{ l|join('<u>') }}{{ a|replace('b', '<') }}{{ l }}{{ a ~ '<s>' }}\
                    {{ a|first }}{{ a|default('') }}{% for i in l %}{{ i }}{% endfor %}",
    }]));
    let html = given
        .render(&content, Channel::Email)
        .unwrap()
        .html
        .unwrap();
    for tag in ["<B>", "<b>", "<i>", "<u>", "<s>", "<<"] {
        assert!(!html.contains(tag), "{tag}");
    }
}

#[test]
fn addresses_of_scripts_are_refused_wherever_they_would_be_clicked() {
    for address in [
        "javascript:alert(1)",
        " \u{1}javascript:a",
        "java\nscript:a",
        "data:text/html,a",
    ] {
        let given = Given::data(json!({ "a": address }));
        for (element, member) in [
            (
                json!({ "type": "action", "content": "a", "href": "{{ a }}" }),
                "href",
            ),
            (json!({ "type": "image", "src": "{{ a }}" }), "src"),
            (
                json!({ "type": "image", "src": "/a", "href": "{{ a }}" }),
                "href",
            ),
            (
                json!({ "type": "html", "content": "<a HREF = '{{ a }}'>" }),
                "content",
            ),
        ] {
            let content = elements(&json!([element]));
            let refusal = given.render(&content, Channel::Email);
            let Err(RenderError::Template { pointer, message }) = refusal else {
                panic!("{address:?} in {content}: {refusal:?}")
            };
            assert_eq!(pointer, format!("/elements/0/{member}"));
            assert!(!message.contains("alert"));
            if member != "content" {
                assert!(given.render(&content, Channel::Inbox).is_err());
            }
        }
    }
}

#[test]
fn a_title_has_one_line() {
    let given = Given::data(json!({ "a": "Hi\r\nBcc: eve@a.example\n\n\u{2028}x" }));
    let rendered = given
        .render(&sugar("{{ a }}\n", "b"), Channel::Email)
        .unwrap();
    assert_eq!(rendered.title.as_deref(), Some("Hi Bcc: eve@a.example x"));
}
