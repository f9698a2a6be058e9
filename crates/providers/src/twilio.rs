use reqwest::{Client, Url};
use serde::Deserialize;
use types::Channel;

use crate::config::{ConfigError, TwilioConfig};
use crate::failure::{Failure, Fault};
use crate::http::{Answer, Reach, ask, client, url_under};
use crate::outgoing::{Address, Outgoing};
use crate::overrides::{line, overrides_for};
use crate::provider::{Attempt, Handover, Provider};
use crate::secret::Secret;

const NAME: &str = "twilio";
/// E.164 has 15 digits; an address may name its kind before them.
const PHONE_BYTES_MAX: usize = 64;

/// Twilio's text messages.
pub(crate) struct Twilio {
    client: Client,
    send_url: Url,
    account_sid: String,
    auth_token: Secret,
    sender: Sender,
}

/// Who a text message is from.
enum Sender {
    From(String),
    MessagingService(String),
}

impl Twilio {
    pub(crate) fn new(config: &TwilioConfig) -> Result<Self, ConfigError> {
        let sender = match (&config.from, &config.messaging_service_sid) {
            (Some(from), None) => Sender::From(from.clone()),
            (None, Some(service)) => Sender::MessagingService(service.clone()),
            (Some(_), Some(_)) | (None, None) => {
                return Err(ConfigError::Invalid {
                    provider: NAME,
                    setting: "from",
                    expected: "given, or messaging_service_sid, but not both",
                });
            }
        };
        let sid = &config.account_sid;
        if sid.is_empty() || !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ConfigError::Invalid {
                provider: NAME,
                setting: "account_sid",
                expected: "an id of letters and digits",
            });
        }
        let path = ["2010-04-01", "Accounts", sid, "Messages.json"];
        Ok(Self {
            client: client(NAME, &config.limits, Reach::Anywhere)?,
            send_url: url_under(NAME, &config.base_url, &path)?,
            account_sid: sid.clone(),
            auth_token: config.auth_token.clone(),
            sender,
        })
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        handover: &Handover,
    ) -> Result<Option<String>, Failure> {
        let Address::Phone(phone) = &outgoing.address else {
            return Err(Failure::Malformed("no telephone number".to_owned()));
        };
        let is_phone = (1..=PHONE_BYTES_MAX).contains(&phone.len())
            && phone.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_phone {
            let reason = "the address is no telephone number".to_owned();
            return Err(Failure::Malformed(reason));
        }
        if outgoing.content.text.is_empty() {
            return Err(Failure::Malformed("there is no text".to_owned()));
        }
        let overrides = overrides_for(&outgoing.overrides, "sms", NAME);
        let sender = match (line(&overrides, "from"), &self.sender) {
            (Some(from), _) => ("From", from),
            (None, Sender::From(from)) => ("From", from.as_str()),
            (None, Sender::MessagingService(sid)) => ("MessagingServiceSid", sid.as_str()),
        };
        let form = [
            ("To", phone.as_str()),
            sender,
            ("Body", &outgoing.content.text),
        ];
        let request = self.client.post(self.send_url.clone());
        let request = request
            .basic_auth(&self.account_sid, Some(self.auth_token.reveal()))
            .form(&form);
        outcome(&ask(request, Some(handover)).await?)
    }
}

impl Provider for Twilio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a> {
        Box::pin(self.send(outgoing, handover))
    }
}

#[derive(Deserialize)]
struct Taken {
    sid: String,
}

#[derive(Deserialize)]
struct Refusal {
    code: u32,
}

fn outcome(answer: &Answer) -> Result<Option<String>, Failure> {
    if answer.is_success() {
        let taken: Option<Taken> = answer.json();
        return match taken {
            Some(taken) => Ok(Some(taken.sid)),
            None => Err(answer.nonsense()),
        };
    }
    let refusal: Option<Refusal> = answer.json();
    let code = refusal.map(|it| it.code);
    let text = code.map(|code| code.to_string());
    let text = text.as_deref();
    let reason = || answer.reason(text);
    Err(match (answer.status, code) {
        // No number, and none that takes text messages.
        (_, Some(21_211 | 21_614)) => Failure::DeadAddress(reason()),
        // Too long, or nothing.
        (_, Some(21_602 | 21_617)) => Failure::Malformed(reason()),
        // Of our own credentials, and so for everybody.
        (401 | 403 | 408 | 429 | 500.., _) => answer.again(Fault::Provider, text),
        (_, _) => Failure::Refused(reason()),
    })
}
