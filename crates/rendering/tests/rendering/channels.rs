use rendering::{Action, Brand, Links, RenderError};
use serde_json::json;
use types::Channel;

use crate::{Given, elements, sugar};

fn order() -> serde_json::Value {
    elements(&json!([
        { "type": "meta", "title": "Order {{ order.number }}" },
        { "type": "text", "content": "Hello {{ profile.name }},\nit is on its way.", "text_style": "h1" },
        { "type": "image", "src": "https://a.example/{{ order.number }}.png", "alt_text": "A box" },
        { "type": "divider", "color": "#ccc" },
        { "type": "quote", "content": "Fragile\nHeavy" },
        { "type": "action", "content": "Track", "href": "https://a.example/?a=1&n={{ order.number }}" },
        { "type": "html", "content": "<b>{{ order.total }}</b>" },
    ]))
}

fn given() -> Given {
    Given {
        data: json!({ "order": { "number": 7, "total": 12.5 } }),
        profile: json!({ "name": "Ada" }),
        ..Given::default()
    }
}

#[test]
fn every_channel_is_told_the_same_in_its_own_way() {
    let title = Some("Order 7".to_owned());
    let hello = "Hello Ada,\nit is on its way.\n\n";
    let href = "https://a.example/?a=1&n=7".to_owned();
    let track = Action {
        label: "Track".to_owned(),
        href,
    };
    let link = "Track: https://a.example/?a=1&n=7";
    for (channel, title, text) in [
        (Channel::Push, &title, format!("{hello}> Fragile\n> Heavy")),
        (Channel::Inbox, &title, format!("{hello}> Fragile\n> Heavy")),
        (
            Channel::Webhook,
            &title,
            format!("{hello}> Fragile\n> Heavy"),
        ),
        (
            Channel::DirectMessage,
            &title,
            format!("{hello}> Fragile\n> Heavy"),
        ),
        (
            Channel::Sms,
            &None,
            format!("{hello}> Fragile\n> Heavy\n\n{link}"),
        ),
        (
            Channel::Email,
            &title,
            format!("{hello}A box\n\n---\n\n> Fragile\n> Heavy\n\n{link}\n\n12.5"),
        ),
    ] {
        let rendered = given().render(&order(), channel).unwrap();
        assert_eq!(&rendered.title, title, "{channel:?}");
        assert_eq!(rendered.text, text, "{channel:?}");
        assert_eq!(
            rendered.actions,
            std::slice::from_ref(&track),
            "{channel:?}"
        );
        assert_eq!(
            rendered.image.as_deref(),
            Some("https://a.example/7.png"),
            "{channel:?}"
        );
        assert_eq!(rendered.html.is_some(), channel == Channel::Email);
    }
}

#[test]
fn an_email_is_a_document_in_the_looks_of_the_brand() {
    let settings = json!({
        "colors": { "primary": "#ab12cd", "secondary": "red;background:url(x)" },
        "email": {
            "header": { "logo": { "image": "https://a.example/logo.png", "href": "javascript:x" }, "barColor": "#123" },
            "footer": { "markdown": "Analytical <Engines>" },
        },
    });
    let links = Links {
        unsubscribe: "https://a.example/u?a=1&b=2".to_owned(),
        preferences: "https://a.example/p".to_owned(),
    };
    let brand = Some(Brand::of("Engines \"&\" Co", Some(&settings)));
    let html = Given {
        brand,
        links: Some(links),
        locale: Some("de_AT"),
        ..given()
    }
    .render(&order(), Channel::Email)
    .unwrap()
    .html
    .unwrap();
    for part in [
        "<html lang=\"de-AT\">",
        "<title>Order 7</title>",
        "background:#123",
        "<img src=\"https://a.example/logo.png\" alt=\"Engines &quot;&amp;&quot; Co\"",
        "Hello Ada,<br>\nit is on its way.</h1>",
        "border-top:1px solid #ccc",
        "Fragile<br>\nHeavy</blockquote>",
        "<a href=\"https://a.example/?a=1&amp;n=7\" style=\"display:inline-block;",
        "background:#ab12cd",
        "<b>12.5</b>",
        "Analytical &lt;Engines&gt;",
        "<a href=\"https://a.example/u?a=1&amp;b=2\" style=\"color:#71717a\">Unsubscribe</a>",
        "<a href=\"https://a.example/p\" style=\"color:#71717a\">Preferences</a>",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("javascript"));
}

#[test]
fn templates_speak_of_data_profile_tenant_brand_links_and_the_message() {
    let links = Links {
        unsubscribe: "u".to_owned(),
        preferences: "p".to_owned(),
    };
    let given = Given {
        data: json!({ "name": "own", "profile": "hidden", "on": true, "count": 3 }),
        profile: json!({ "name": "Ada" }),
        tenant: Some(json!({ "id": "t", "properties": { "plan": "gold" } })),
        brand: Some(Brand::of(
            "B",
            Some(&json!({ "colors": { "primary": "#fff" } })),
        )),
        locale: Some("en"),
        links: Some(links),
    };
    let body = "{{ name }} {{ data.name }} {{ profile.name }} {{ tenant.properties.plan }} {{ brand.name }} \
                {{ brand.colors.primary }} {{ urls.unsubscribe }} {{ urls.preferences }} {{ message.id }} \
                {{ locale }} {{ on }} {{ count + 1 }}";
    let rendered = given.render(&sugar("", body), Channel::Push).unwrap();
    assert_eq!(
        rendered.text,
        "own own Ada gold B #fff u p message-1 en true 4"
    );
    assert_eq!(rendered.title, None);
}

#[test]
fn a_text_message_has_its_title_only_where_there_is_nothing_else() {
    let rendered = Given::default()
        .render(&sugar("Title", ""), Channel::Sms)
        .unwrap();
    assert_eq!((rendered.title, rendered.text.as_str()), (None, "Title"));
    let only_html = elements(&json!([{ "type": "html", "content": "<p>a</p>" }]));
    assert_eq!(
        Given::default().render(&only_html, Channel::Sms),
        Err(RenderError::Empty)
    );
}

#[test]
fn what_is_made_for_a_channel_holds_there_alone() {
    let content = elements(&json!([
        { "type": "channel", "channel": "email", "raw": {
            "subject": "S {{ a }}", "text": "T", "html": "<i>{{ a }}</i>", "other": 1 } },
        { "type": "channel", "channel": "sms", "elements": [{ "type": "text", "content": "short" }] },
        { "type": "channel", "channel": "slack", "elements": [{ "type": "text", "content": "slack" }] },
        { "type": "text", "content": "for the others" },
    ]));
    let given = Given::data(json!({ "a": "<x>" }));
    let email = given.render(&content, Channel::Email).unwrap();
    assert_eq!(email.title.as_deref(), Some("S <x>"));
    assert_eq!(email.text, "T");
    assert_eq!(email.html.as_deref(), Some("<i>&lt;x&gt;</i>"));
    assert_eq!(given.render(&content, Channel::Sms).unwrap().text, "short");
    assert_eq!(
        given.render(&content, Channel::Push).unwrap().text,
        "for the others"
    );
}
