use std::time::Duration;

use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::{Channel, Clock as _, SystemClock};

use crate::bearer::Bearer;
use crate::config::{ConfigError, FcmConfig, file_or_text};
use crate::failure::{Failure, Fault};
use crate::http::{Answer, Reach, ask, client, url_under};
use crate::jwt::JwtKey;
use crate::outgoing::{Address, Outgoing};
use crate::provider::{Attempt, Handover, Provider};
use crate::push;

const NAME: &str = "fcm";
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What we sign is for one exchange; Google takes at most an hour.
const ASSERTION_SECONDS: u64 = 600;
/// A token is not used in the last of its time: it has to last for the request.
const TOKEN_MARGIN: Duration = Duration::from_mins(2);
/// Google's last no longer.
const TOKEN_LASTS_MAX: Duration = Duration::from_hours(1);

/// Firebase Cloud Messaging, HTTP v1.
pub(crate) struct Fcm {
    client: Client,
    send_url: Url,
    token_url: Url,
    client_email: String,
    key: JwtKey,
    bearer: Bearer,
}

#[derive(Deserialize)]
struct ServiceAccount {
    project_id: Option<String>,
    client_email: String,
    private_key: String,
    token_uri: Option<String>,
}

impl Fcm {
    pub(crate) fn new(config: &FcmConfig) -> Result<Self, ConfigError> {
        let invalid = |setting, expected| ConfigError::Invalid {
            provider: NAME,
            setting,
            expected,
        };
        let file = ("service_account_file", config.service_account_file.as_ref());
        let text = file_or_text(NAME, file, config.service_account.as_ref())?;
        let account: ServiceAccount = serde_json::from_str(text.reveal())
            .map_err(|_| invalid("service_account", "the key of a service account, in JSON"))?;
        let key = JwtKey::rs256(&account.private_key)
            .ok_or_else(|| invalid("service_account", "one with an RSA key in PEM (PKCS#8)"))?;
        let project_id = config.project_id.as_ref().or(account.project_id.as_ref());
        let project_id = project_id.ok_or_else(|| invalid("project_id", "given"))?;
        let token_url = config.token_url.as_ref().or(account.token_uri.as_ref());
        let token_url = token_url.map_or("https://oauth2.googleapis.com/token", String::as_str);
        let token_url = Url::parse(token_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let path = ["v1", "projects", project_id, "messages:send"];
        Ok(Self {
            client: client(NAME, &config.limits, Reach::Anywhere)?,
            send_url: url_under(NAME, &config.base_url, &path)?,
            token_url: token_url.ok_or_else(|| invalid("token_url", "a URL"))?,
            client_email: account.client_email,
            key,
            bearer: Bearer::default(),
        })
    }

    async fn send(
        &self,
        outgoing: &Outgoing,
        handover: &Handover,
    ) -> Result<Option<String>, Failure> {
        let Address::Fcm(token) = &outgoing.address else {
            return Err(Failure::Malformed("no token of Firebase".to_owned()));
        };
        let message = message(push::checked_token(token)?, outgoing);
        let bearer = self.bearer.token(self.fetch_bearer()).await?;
        let request = self.client.post(self.send_url.clone());
        let request = request
            .bearer_auth(&bearer)
            .json(&json!({ "message": message }));
        let answer = ask(request, Some(handover)).await?;
        let outcome = outcome(&answer);
        if matches!(answer.status, 401 | 403) {
            self.bearer.discard(&bearer).await;
        }
        outcome
    }

    /// Exchanges what we sign for a token (RFC 7523).
    async fn fetch_bearer(&self) -> Result<(String, Duration), Failure> {
        #[derive(Deserialize)]
        struct Token {
            access_token: String,
            expires_in: u64,
        }

        let now = SystemClock.now().0 / 1_000_000_000;
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_url.as_str(),
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        });
        let assertion = self.key.sign(None, &claims);
        let assertion = assertion.ok_or_else(|| Failure::unavailable("nothing can be signed"))?;
        let form = [("grant_type", GRANT), ("assertion", &assertion)];
        let request = self.client.post(self.token_url.clone()).form(&form);
        let answer = ask(request, None).await?;
        if !answer.is_success() {
            let reason = format!("no token was given: {}", answer.reason(None));
            return Err(Failure::unavailable(reason));
        }
        let token: Option<Token> = answer.json();
        let token = token
            .ok_or_else(|| Failure::unavailable("no token was given: the answer has none in it"))?;
        let lasts = Duration::from_secs(token.expires_in).min(TOKEN_LASTS_MAX);
        let lasts = lasts.saturating_sub(TOKEN_MARGIN);
        Ok((token.access_token, lasts))
    }
}

impl Provider for Fcm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn channel(&self) -> Channel {
        Channel::Push
    }

    fn carries(&self, address: &Address) -> bool {
        matches!(address, Address::Fcm(_))
    }

    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a> {
        Box::pin(self.send(outgoing, handover))
    }
}

fn message(token: &str, outgoing: &Outgoing) -> Map<String, Value> {
    let content = &outgoing.content;
    let notification = push::object([
        ("title", content.title.clone().map(Value::from)),
        ("body", Some(content.text.clone().into())),
        ("image", content.image.clone().map(Value::from)),
    ]);
    let data = text_data(push::data(outgoing));
    let data = (!data.is_empty()).then(|| Value::from(data));
    let mut message = push::object([
        ("token", Some(token.into())),
        ("notification", Some(notification.into())),
        ("data", data),
    ]);
    push::override_body(
        &mut message,
        outgoing,
        NAME,
        &["token", "topic", "condition"],
    );
    message
}

/// Firebase takes only text as data, and keeps some names to itself.
fn text_data(data: Map<String, Value>) -> Map<String, Value> {
    let is_kept = |name: &str| {
        matches!(name, "" | "from" | "message_type")
            || name.starts_with("google.")
            || name.starts_with("gcm.")
    };
    let data = data.into_iter().filter(|(name, _)| !is_kept(name));
    data.map(|(name, value)| match value {
        Value::String(_) => (name, value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            (name, value.to_string().into())
        }
    })
    .collect()
}

#[derive(Deserialize)]
struct Sent {
    name: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    error_code: Option<String>,
    #[serde(default)]
    field_violations: Vec<FieldViolation>,
}

#[derive(Deserialize)]
struct FieldViolation {
    #[serde(default)]
    field: String,
}

impl RefusalBody {
    /// What Firebase says in particular, or else what Google says in general.
    fn code(&self) -> &str {
        let mut codes = self
            .details
            .iter()
            .filter_map(|it| it.error_code.as_deref());
        codes.next().unwrap_or(&self.status)
    }

    fn is_about_token(&self) -> bool {
        let mut violations = self.details.iter().flat_map(|it| &it.field_violations);
        violations.any(|it| it.field == "message.token")
    }
}

fn outcome(answer: &Answer) -> Result<Option<String>, Failure> {
    if answer.is_success() {
        let sent: Option<Sent> = answer.json();
        return match sent {
            Some(sent) => Ok(Some(sent.name)),
            None => Err(answer.nonsense()),
        };
    }
    let refusal: Option<Refusal> = answer.json();
    let code = refusal.as_ref().map(|it| it.error.code());
    let reason = || answer.reason(code);
    let is_about_token = refusal.as_ref().is_some_and(|it| it.error.is_about_token());
    Err(match (answer.status, code) {
        (_, Some("UNREGISTERED")) | (404, Some(_)) => Failure::DeadAddress(reason()),
        (400, Some(_)) if is_about_token => Failure::DeadAddress(reason()),
        (403, Some("SENDER_ID_MISMATCH")) => Failure::Refused(reason()),
        // Of our own credentials, and so for everybody.
        (401 | 403 | 408 | 429 | 500.., _) => answer.again(Fault::Provider, code),
        (_, _) => Failure::Refused(reason()),
    })
}
