use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::Channel;

use crate::config::{ConfigError, ExpoConfig};
use crate::failure::{Failure, Fault};
use crate::http::{Answer, Reach, ask, client, url_under};
use crate::outgoing::{Address, Outgoing};
use crate::provider::{Attempt, Handover, Provider};
use crate::push;
use crate::secret::Secret;

const NAME: &str = "expo";

/// Expo's push service.
pub(crate) struct Expo {
    client: Client,
    send_url: Url,
    access_token: Option<Secret>,
}

impl Expo {
    pub(crate) fn new(config: &ExpoConfig) -> Result<Self, ConfigError> {
        let path = ["--", "api", "v2", "push", "send"];
        Ok(Self {
            client: client(NAME, &config.limits, Reach::Anywhere)?,
            send_url: url_under(NAME, &config.base_url, &path)?,
            access_token: config.access_token.clone(),
        })
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        handover: &Handover,
    ) -> Result<Option<String>, Failure> {
        let Address::Expo(token) = &outgoing.address else {
            return Err(Failure::Malformed("no token of Expo".to_owned()));
        };
        let message = message(push::checked_token(token)?, outgoing);
        let mut request = self.client.post(self.send_url.clone()).json(&message);
        if let Some(access_token) = &self.access_token {
            request = request.bearer_auth(access_token.reveal());
        }
        outcome(&ask(request, Some(handover)).await?)
    }
}

impl Provider for Expo {
    fn name(&self) -> &'static str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Push
    }

    fn carries(&self, address: &Address) -> bool {
        matches!(address, Address::Expo(_))
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a> {
        Box::pin(self.send(outgoing, handover))
    }
}

fn message(token: &str, outgoing: &Outgoing) -> Map<String, Value> {
    let content = &outgoing.content;
    let data = push::data(outgoing);
    let image = content.image.as_ref();
    let mut message = push::object([
        ("to", Some(token.into())),
        ("title", content.title.clone().map(Value::from)),
        ("body", Some(content.text.clone().into())),
        ("data", (!data.is_empty()).then(|| data.into())),
        ("richContent", image.map(|image| json!({ "image": image }))),
    ]);
    push::override_body(&mut message, outgoing, NAME, &["to"]);
    message
}

#[derive(Deserialize)]
struct Taken {
    data: Tickets,
}

/// One for one message; in a list if that is how it was answered.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tickets {
    One(Ticket),
    Listed([Ticket; 1]),
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Ticket {
    Ok {
        id: String,
    },
    Error {
        #[serde(default)]
        details: Details,
    },
}

#[derive(Default, Deserialize)]
struct Details {
    error: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    errors: Vec<RefusalError>,
}

#[derive(Deserialize)]
struct RefusalError {
    code: Option<String>,
}

fn outcome(answer: &Answer) -> Result<Option<String>, Failure> {
    if !answer.is_success() {
        let refusal: Option<Refusal> = answer.json();
        let code = refusal.and_then(|it| it.errors.into_iter().find_map(|it| it.code));
        let code = code.as_deref();
        return Err(match answer.status {
            // Of our own credentials, and so for everybody.
            401 | 403 | 408 | 429 | 500.. => answer.again(Fault::Provider, code),
            413 => Failure::Malformed(answer.reason(code)),
            _ => Failure::Refused(answer.reason(code)),
        });
    }
    let taken: Option<Taken> = answer.json();
    let tickets = taken.map(|it| it.data);
    let Some(Tickets::One(ticket) | Tickets::Listed([ticket])) = tickets else {
        return Err(answer.nonsense());
    };
    let code = match ticket {
        Ticket::Ok { id } => return Ok(Some(id)),
        Ticket::Error { details } => details.error,
    };
    let reason = answer.reason(code.as_deref());
    Err(match code.as_deref() {
        Some("DeviceNotRegistered") => Failure::DeadAddress(reason),
        Some("MessageTooBig") => Failure::Malformed(reason),
        // So many for one device.
        Some("MessageRateExceeded") => answer.again(Fault::Recipient, code.as_deref()),
        Some(_) | None => Failure::Refused(reason),
    })
}
