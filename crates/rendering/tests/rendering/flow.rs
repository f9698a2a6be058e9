use rendering::RenderError;
use serde_json::json;
use types::Channel;

use crate::{Given, elements, sugar};

#[test]
fn elements_are_repeated_left_out_and_kept_to_their_channels() {
    let content = elements(&json!([
        { "type": "text", "loop": "data.products", "if": "item.stock > 0",
          "content": "{{ index + 1 }}. {{ item.name }} {{ $.item.stock }}" },
        { "type": "text", "if": "missing", "content": "never {{ missing }}" },
        { "type": "text", "if": "missing.deeper == 1", "content": "never" },
        { "type": "text", "if": "vip and not banned", "content": "vip" },
        { "type": "text", "channels": ["sms", "slack"], "content": "only sms" },
        { "type": "text", "channels": [], "content": "nowhere" },
    ]));
    let products = json!([{ "name": "a", "stock": 2 }, { "name": "b", "stock": 0 }, { "name": "c", "stock": 1 }]);
    let given = Given::data(json!({ "products": products, "vip": true }));
    assert_eq!(
        given.render(&content, Channel::Push).unwrap().text,
        "1. a 2\n\n3. c 1\n\nvip"
    );
    assert_eq!(
        given.render(&content, Channel::Sms).unwrap().text,
        "1. a 2\n\n3. c 1\n\nvip\n\nonly sms"
    );
}

#[test]
fn the_locale_chooses_the_content() {
    let content = elements(&json!([
        { "type": "meta", "title": "Hello", "locales": { "de": { "title": "Hallo" } } },
        { "type": "text", "content": "Hello {{ n }}",
          "locales": { "de": { "content": "Hallo {{ n }}" }, "de-AT": { "content": "Servus {{ n }}" } } },
    ]));
    for (locale, title, text) in [
        (None, "Hello", "Hello A"),
        (Some("fr"), "Hello", "Hello A"),
        (Some("de"), "Hallo", "Hallo A"),
        (Some("de-CH"), "Hallo", "Hallo A"),
        (Some("de_at"), "Hallo", "Servus A"),
    ] {
        let rendered = Given {
            locale,
            ..Given::data(json!({ "n": "A" }))
        }
        .render(&content, Channel::Push)
        .unwrap();
        assert_eq!(
            (rendered.title.as_deref(), rendered.text.as_str()),
            (Some(title), text),
            "{locale:?}"
        );
    }
}

#[test]
fn a_missing_variable_is_named_and_never_an_empty_hole() {
    let given = Given {
        profile: json!({ "none": null, "name": "Ada" }),
        ..Given::data(json!({ "list": [{}] }))
    };
    for (body, name) in [
        ("Hi {{ name }}", "name"),
        (
            "Hi {{ profile.name }}{{ profile.surname }}",
            "profile.surname",
        ),
        ("Hi {{ profile.none }}", "profile.none"),
        ("Hi {{ user.name.first }}", "user.name"),
        ("Hi {{ profile.name ~ surname }}", "surname"),
        ("Hi {{ name|upper }}", "name"),
        ("{% if name|upper == 'A' %}{% endif %}", "name"),
        ("Hi {{ tenant.id }}", "tenant.id"),
        ("{% for a in things %}{{ a }}{% endfor %}", "things"),
        ("{% for a in list %}{{ a.b }}{% endfor %}", "a.b"),
    ] {
        let refusal = given.render(&sugar("", body), Channel::Push);
        let (name, pointer) = (name.to_owned(), "/body".to_owned());
        assert_eq!(
            refusal,
            Err(RenderError::MissingVariable { name, pointer }),
            "{body}"
        );
    }
    let looped = elements(&json!([{ "type": "text", "loop": "data.things", "content": "a" }]));
    let (name, pointer) = ("data.things".to_owned(), "/elements/0/loop".to_owned());
    assert_eq!(
        given.render(&looped, Channel::Push),
        Err(RenderError::MissingVariable { name, pointer })
    );
}

#[test]
fn what_is_divided_by_nothing_is_told_to_nobody() {
    let given = Given::data(json!({ "total": 3, "count": 0, "none": 0 }));
    for body in [
        "{{ total / count }}",
        "{{ none / count }}",
        "{{ 0 - total / count }}",
    ] {
        let refusal = given.render(&sugar("", body), Channel::Push);
        assert!(
            matches!(refusal, Err(RenderError::Template { .. })),
            "{body}: {refusal:?}"
        );
    }
}

#[test]
fn what_may_be_missing_has_a_default_or_is_asked_for() {
    let body = "{{ name | default(\"you\") }}{{ profile.none|d('-') }}{{ profile.name|default('x') }}\
                {% if name %}no{% endif %}{% if name is defined %}no{% endif %}";
    let given = Given {
        profile: json!({ "none": null }),
        ..Given::default()
    };
    assert_eq!(
        given.render(&sugar("", body), Channel::Push).unwrap().text,
        "you-x"
    );
}
