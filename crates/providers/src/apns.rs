use std::time::Duration;

use reqwest::{Client, Url};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::{Channel, Clock as _, SystemClock, hex};

use crate::bearer::Bearer;
use crate::config::{ApnsConfig, ConfigError, file_or_text};
use crate::failure::{Failure, Fault};
use crate::http::{Answer, Reach, ask, client, url_under};
use crate::jwt::JwtKey;
use crate::outgoing::{Address, Outgoing};
use crate::provider::{Attempt, Handover, Provider};
use crate::push;

const NAME: &str = "apns";
/// Apple takes a token for an hour, and does not want a new one before twenty minutes.
const TOKEN_LASTS: Duration = Duration::from_mins(50);

/// Apple Push Notification service.
pub(crate) struct Apns {
    client: Client,
    device_url: Url,
    key: JwtKey,
    key_id: String,
    team_id: String,
    topic: String,
    bearer: Bearer,
}

impl Apns {
    pub(crate) fn new(config: &ApnsConfig) -> Result<Self, ConfigError> {
        let file = ("key_file", config.key_file.as_ref());
        let pem = file_or_text(NAME, file, config.key.as_ref())?;
        let key = JwtKey::es256(pem.reveal()).ok_or(ConfigError::Invalid {
            provider: NAME,
            setting: "key",
            expected: "a key on the curve P-256 in PEM (PKCS#8), as in Apple's files",
        })?;
        let is_topic = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_topic(&config.topic) {
            return Err(ConfigError::Invalid {
                provider: NAME,
                setting: "topic",
                expected: "the bundle id of an app",
            });
        }
        Ok(Self {
            client: client(NAME, &config.limits, Reach::Anywhere)?,
            device_url: url_under(NAME, &config.base_url, &["3", "device"])?,
            key,
            key_id: config.key_id.clone(),
            team_id: config.team_id.clone(),
            topic: config.topic.clone(),
            bearer: Bearer::default(),
        })
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        handover: &Handover,
    ) -> Result<Option<String>, Failure> {
        let Address::Apns(token) = &outgoing.address else {
            return Err(Failure::Malformed("no token of Apple".to_owned()));
        };
        let mut url = self.device_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(push::checked_token(token)?);
        }
        let id = id(&outgoing.message_id);
        let bearer = self.bearer.token(async { self.sign_bearer() }).await?;
        let request = self.client.post(url);
        let request = request
            .bearer_auth(&bearer)
            .header("apns-topic", &self.topic)
            .header("apns-id", &id)
            .header("apns-push-type", "alert")
            .json(&payload(outgoing));
        let answer = ask(request, Some(handover)).await?;
        let outcome = outcome(&answer);
        if answer.status == 403 {
            self.bearer.discard(&bearer).await;
        }
        outcome.map(|()| Some(id))
    }

    fn sign_bearer(&self) -> Result<(String, Duration), Failure> {
        let now = SystemClock.now().0 / 1_000_000_000;
        let claims = json!({ "iss": self.team_id, "iat": now });
        let token = self.key.sign(Some(&self.key_id), &claims);
        let token = token.ok_or_else(|| Failure::unavailable("nothing can be signed"))?;
        Ok((token, TOKEN_LASTS))
    }
}

impl Provider for Apns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Push
    }

    fn carries(&self, address: &Address) -> bool {
        matches!(address, Address::Apns(_))
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a> {
        Box::pin(self.send(outgoing, handover))
    }
}

fn payload(outgoing: &Outgoing) -> Map<String, Value> {
    let content = &outgoing.content;
    let alert = push::object([
        ("title", content.title.clone().map(Value::from)),
        ("body", Some(content.text.clone().into())),
    ]);
    let mut payload = push::data(outgoing);
    payload.insert("aps".to_owned(), json!({ "alert": alert }));
    push::override_body(&mut payload, outgoing, NAME, &[]);
    payload
}

/// A UUID (RFC 9562, version 8) that is the same for every attempt: 16 bytes of the digest of our own id.
fn id(message_id: &str) -> String {
    let digest = digest(&SHA256, message_id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16];
    parts.map(|part| hex(&bytes[part])).join("-")
}

#[derive(Deserialize)]
struct Refusal {
    reason: String,
}

fn outcome(answer: &Answer) -> Result<(), Failure> {
    match answer.status {
        200 => return Ok(()),
        201..=299 => return Err(answer.nonsense()),
        _ => {}
    }
    let refusal: Option<Refusal> = answer.json();
    let code = refusal.as_ref().map(|it| it.reason.as_str());
    let reason = || answer.reason(code);
    Err(match (answer.status, code) {
        (_, Some("BadDeviceToken" | "Unregistered" | "ExpiredToken")) | (410, _) => {
            Failure::DeadAddress(reason())
        }
        (413, _) => Failure::Malformed(reason()),
        // So many for one device.
        (429, Some("TooManyRequests")) => answer.again(Fault::Recipient, code),
        // Of our own credentials, and so for everybody.
        (403 | 408 | 429 | 500.., _) => answer.again(Fault::Provider, code),
        (_, _) => Failure::Refused(reason()),
    })
}
