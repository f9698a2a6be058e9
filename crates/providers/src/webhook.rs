use std::net::IpAddr;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};
use ring::hmac;
use serde_json::json;
use types::{Channel, Clock as _, SystemClock, Timestamp, hex};

use crate::address_check::may_be_asked;
use crate::config::{ConfigError, WebhookConfig};
use crate::failure::{Failure, Fault};
use crate::http::{Reach, ask_for_status, client};
use crate::outgoing::{Address, Outgoing, WebhookAddress, WebhookAuthentication, WebhookMethod};
use crate::provider::{Attempt, Handover, Provider};

const NAME: &str = "webhook";
const SIGNATURE: HeaderName = HeaderName::from_static("courier-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What a recipient's own headers may not say: how the request is framed and where it goes.
const KEPT_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Webhooks to people's own URLs.
pub(crate) struct Webhook {
    client: Client,
    key: Option<hmac::Key>,
    allow_private: bool,
}

impl Webhook {
    pub(crate) fn new(config: &WebhookConfig) -> Result<Self, ConfigError> {
        let reach = if config.allow_private {
            Reach::Anywhere
        } else {
            Reach::PublicOnly
        };
        let key = |secret: &str| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Ok(Self {
            client: client(NAME, &config.limits, reach)?,
            key: config.secret.as_ref().map(|it| key(it.reveal())),
            allow_private: config.allow_private,
        })
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        handover: &Handover,
    ) -> Result<Option<String>, Failure> {
        let Address::Webhook(address) = &outgoing.address else {
            return Err(Failure::Malformed("no URL".to_owned()));
        };
        let url = self.checked_url(&address.url)?;
        let body = body(outgoing);
        let headers = self.headers(address, &outgoing.message_id, &body)?;
        let method = match address.method {
            WebhookMethod::Post => Method::POST,
            WebhookMethod::Put => Method::PUT,
        };
        let request = self.client.request(method, url).headers(headers);
        let request = match &address.authentication {
            WebhookAuthentication::None => request,
            WebhookAuthentication::Basic { username, password } => {
                request.basic_auth(username, Some(password))
            }
            WebhookAuthentication::Bearer { token } => request.bearer_auth(token),
        };
        let answer = ask_for_status(request.body(body), handover).await?;
        match answer.status {
            200..=299 => Ok(None),
            408 | 425 | 429 | 500.. => Err(answer.again(Fault::Recipient, None)),
            _ => Err(Failure::Refused(answer.reason(None))),
        }
    }

    /// An address that stands in the URL itself is looked at here, for no resolver sees it. A URL has only
    /// one way to write it once it is parsed.
    fn checked_url(&self, text: &str) -> Result<Url, Failure> {
        let malformed = || Failure::Malformed("the address is no URL for a webhook".to_owned());
        let url = Url::parse(text).map_err(|_| malformed())?;
        let host = url.host_str().ok_or_else(malformed)?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || has_credentials {
            return Err(malformed());
        }
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if !self.allow_private && address.is_some_and(|it| !may_be_asked(it)) {
            let reason = "this machine and private networks are refused".to_owned();
            return Err(Failure::Refused(reason));
        }
        Ok(url)
    }

    fn headers(
        &self,
        address: &WebhookAddress,
        message_id: &str,
        body: &[u8],
    ) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &address.headers {
            let name = HeaderName::try_from(name).ok();
            let value = HeaderValue::try_from(value).ok();
            if let Some((name, mut value)) = name.zip(value)
                && !KEPT_HEADERS.contains(&name.as_str())
            {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
        // Ours last, so that nobody's own stand in their place.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let message_id = HeaderValue::try_from(message_id)
            .map_err(|_| Failure::Malformed("the message's id cannot be a header".to_owned()))?;
        headers.insert(IDEMPOTENCY_KEY, message_id);
        headers.remove(SIGNATURE);
        if let Some(key) = &self.key {
            let signature = signature(key, SystemClock.now(), body);
            if let Ok(signature) = HeaderValue::try_from(signature) {
                headers.insert(SIGNATURE, signature);
            }
        }
        Ok(headers)
    }
}

impl Provider for Webhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn asks_recipients_servers(&self) -> bool {
        true
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a> {
        Box::pin(self.send(outgoing, handover))
    }
}

fn body(outgoing: &Outgoing) -> Vec<u8> {
    let content = &outgoing.content;
    let actions = content.actions.iter();
    let actions = actions.map(|it| json!({ "label": it.label, "href": it.href }));
    let body = json!({
        "message_id": outgoing.message_id,
        "user_id": outgoing.user_id,
        "tenant_id": outgoing.tenant_id,
        "title": content.title,
        "text": content.text,
        "actions": actions.collect::<Vec<_>>(),
        "data": outgoing.data,
    });
    body.to_string().into_bytes()
}

/// The time in milliseconds, and HMAC-SHA256 over the time, a dot and the body, in hexadecimal: the same as
/// our other webhooks.
fn signature(key: &hmac::Key, at: Timestamp, body: &[u8]) -> String {
    let milliseconds = at.0 / 1_000_000;
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{milliseconds}.").as_bytes());
    context.update(body);
    let code = hex(context.sign().as_ref());
    format!("t={milliseconds},signature={code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_2104_over_time_and_body() {
        // printf '1700000000123.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_test");
        let at = Timestamp(1_700_000_000_123_456_789);
        let expected = "t=1700000000123,signature=a91a0126961636f9a9cdaa5cdc1e3917b473a60893dcbb782aca9ad90833a32a";
        assert_eq!(signature(&key, at, br#"{"a":1}"#), expected);
    }
}
