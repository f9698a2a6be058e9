use proptest::prelude::*;
use rendering::Content;
use serde_json::{Map, Value, json};
use types::Channel;

use crate::{Given, elements};

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[<>\"'&`= ;:/a-z{}%|]{0,40}",
        Just("{{ a }}</title><script>".to_owned()),
    ]
}

/// JSON that looks a little like content.
fn json_like() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "type", "elements", "content", "title", "body", "if", "loop", "channels", "channel", "raw",
        "locales", "href", "src", "html",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[{}%#'\"|+~$. a-z\\-(\\[é]{0,24}".prop_map(Value::from),
        prop::sample::select(vec![
            "text", "meta", "image", "action", "channel", "email", "quote", "html"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                Value::from(
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect::<Map<_, _>>(),
                )
            }),
        ]
    })
}

/// What stands between the marks around each place where the variable is.
fn places(html: &str) -> Vec<&str> {
    html.split("[[")
        .skip(1)
        .map(|rest| rest.split("]]").next().unwrap_or_default())
        .collect()
}

proptest! {
    #[test]
    fn no_variable_leaves_its_place_in_html(value in words().prop_filter("the marks are ours", |value| {
        !value.contains("[[") && !value.contains("]]") && !value.trim().is_empty()
    })) {
        let value = format!("x{value}x");
        let content = elements(&json!([
            { "type": "meta", "title": "[[{{ a }}]]" },
            { "type": "text", "content": "[[{{ a }}]]", "bold": "true" },
            { "type": "quote", "content": "[[{{ a }}]]" },
            { "type": "action", "content": "[[{{ a }}]]", "href": "https://a.example/" },
            { "type": "image", "src": "/a", "alt_text": "[[{{ a }}]]" },
            { "type": "html", "content": "<p title=\"[[{{ a }}]]\">[[{{ a|trim }}]]</p>" },
        ]));
        let given = Given::data(json!({ "a": value }));
        // Only what looks like an address of a script inside the HTML element is refused as a whole.
        if let Ok(rendered) = given.render(&content, Channel::Email) {
            let html = rendered.html.unwrap();
            let places = places(&html);
            prop_assert_eq!(places.len(), 7);
            for place in places {
                let place = place.replace("<br>\n", "");
                prop_assert!(!place.contains(['<', '>', '"', '\'']), "{}", place);
            }
            prop_assert!(!rendered.title.unwrap().contains(['\r', '\n']));
        } else {
            prop_assert!(value.to_ascii_lowercase().contains("href") || value.to_ascii_lowercase().contains("src"));
        }
    }

    #[test]
    fn nothing_that_is_parsed_or_rendered_panics(content in json_like(), data in words()) {
        if let Ok(content) = Content::parse(&content) {
            let given = Given::data(json!({ "a": data, "b": [1, { "c": data }] }));
            for channel in Channel::ALL {
                let _ = content.render(*channel, &given.variables());
            }
        }
    }

    #[test]
    fn rendering_is_the_same_every_time(value in words()) {
        let content = json!({ "title": "{{ a }}", "body": "{{ data }} {{ b|d(a) }}" });
        let given = Given::data(json!({ "a": value, "z": 1, "c": [value] }));
        let first = given.render(&content, Channel::Email);
        prop_assert_eq!(first, given.render(&content, Channel::Email));
    }
}
