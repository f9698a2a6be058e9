use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::{Address, Message};
use serde_json::{Map, Value};
use types::hex;

use crate::failure::Failure;
use crate::outgoing::{Outgoing, Unsubscribe};
use crate::overrides::{line, overrides_for};
use crate::smtp::NAME;

/// A line of a mail has at most 998 bytes (RFC 5322), and a URL cannot be broken.
const URL_BYTES_MAX: usize = 900;
/// How many a copy can go to, of each kind.
const COPIES_MAX: usize = 50;
/// Headers that are ours to say, with those of the body's form, which all begin alike.
const KEPT_HEADERS: [&str; 14] = [
    "bcc",
    "cc",
    "date",
    "from",
    "in-reply-to",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "message-id",
    "mime-version",
    "received",
    "reply-to",
    "return-path",
    "subject",
    "to",
];

/// A mail as it goes over the wire.
pub(super) struct Mail {
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
    pub(super) message_id: String,
}

impl Mail {
    /// Whether its addresses can be told to every server.
    pub(super) fn is_ascii(&self) -> bool {
        let recipients = self.envelope.to().iter();
        let mut addresses = recipients.chain(self.envelope.from());
        addresses.all(|it| it.user().is_ascii() && it.domain().is_ascii()) && self.bytes.is_ascii()
    }
}

/// Writes the mail. Nothing that is given can begin another header: what stands in a header is one line.
pub(super) fn mail(
    to: &str,
    outgoing: &Outgoing,
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
) -> Result<Mail, Failure> {
    let to: Address = to
        .parse()
        .map_err(|_| Failure::Malformed("the address is no mailbox".to_owned()))?;
    let overrides = overrides_for(&outgoing.overrides, "email", NAME);
    let from = mailbox(&overrides, "from").unwrap_or_else(|| from.clone());
    let message_id = message_id(&outgoing.message_id, from.email.domain());
    let title = outgoing.content.title.as_deref().unwrap_or_default();
    let subject = line(&overrides, "subject").map_or_else(|| in_one_line(title), str::to_owned);
    let mut builder = Message::builder()
        .message_id(Some(message_id.clone()))
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(subject);
    if let Some(reply_to) = mailbox(&overrides, "reply_to").or_else(|| reply_to.cloned()) {
        builder = builder.reply_to(reply_to);
    }
    for copy in mailboxes(&overrides, "cc") {
        builder = builder.cc(copy);
    }
    for copy in mailboxes(&overrides, "bcc") {
        builder = builder.bcc(copy);
    }
    builder = with_headers(builder, &overrides);
    if let Some(unsubscribe) = &outgoing.unsubscribe {
        builder = with_unsubscribe(builder, unsubscribe);
    }
    let text = outgoing.content.text.clone();
    let written = match outgoing.content.html.clone() {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
        None => builder.singlepart(SinglePart::plain(text)),
    };
    let written =
        written.map_err(|_| Failure::Malformed("no mail can be made of it".to_owned()))?;
    Ok(Mail {
        envelope: written.envelope().clone(),
        bytes: written.formatted(),
        message_id,
    })
}

/// The same for every attempt, so that a mailbox that was told twice can tell. What cannot stand there as
/// it is stands there in hexadecimal.
fn message_id(id: &str, domain: &str) -> String {
    let is_plain = |it: &str| {
        !it.is_empty()
            && it
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if is_plain(id) {
        format!("<{id}@{domain}>")
    } else {
        format!("<{}@{domain}>", hex(id.as_bytes()))
    }
}

fn in_one_line(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

fn mailbox(overrides: &Map<String, Value>, name: &str) -> Option<Mailbox> {
    line(overrides, name)?.parse().ok()
}

/// One, or a list of them.
fn mailboxes(overrides: &Map<String, Value>, name: &str) -> Vec<Mailbox> {
    let listed = match overrides.get(name) {
        Some(Value::Array(listed)) => listed.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts = listed.iter().filter_map(Value::as_str);
    let lines = texts.filter(|it| !it.contains(char::is_control));
    lines
        .filter_map(|it| it.parse().ok())
        .take(COPIES_MAX)
        .collect()
}

fn with_headers(mut builder: MessageBuilder, overrides: &Map<String, Value>) -> MessageBuilder {
    let Some(headers) = overrides.get("headers").and_then(Value::as_object) else {
        return builder;
    };
    for name in headers.keys() {
        let lower = name.to_ascii_lowercase();
        if KEPT_HEADERS.contains(&lower.as_str()) || lower.starts_with("content-") {
            continue;
        }
        let is_token = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let Some(value) = line(headers, name).filter(|_| is_token) else {
            continue;
        };
        if let Ok(name) = HeaderName::new_from_ascii(name.clone()) {
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
    }
    builder
}

/// RFC 8058. A URL that cannot stand in a header is left out: without it the mail is still the mail.
fn with_unsubscribe(builder: MessageBuilder, unsubscribe: &Unsubscribe) -> MessageBuilder {
    let url = unsubscribe.one_click_url.as_str();
    let is_url = url.starts_with("https://") || url.starts_with("http://");
    let is_plain = url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'));
    if !is_url || !is_plain || url.len() > URL_BYTES_MAX {
        return builder;
    }
    let value = format!("<{url}>");
    // As it is: encoded words are not read here, and the URL was looked at above.
    let list = HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str("List-Unsubscribe"),
        value.clone(),
        value,
    );
    let post = HeaderValue::new(
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post"),
        "List-Unsubscribe=One-Click".to_owned(),
    );
    builder.raw_header(list).raw_header(post)
}
