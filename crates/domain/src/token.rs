use events::{Personal, TokenAdded, TokenDetails, TokenEvent, TokenRemoved, TokenUpdated};
use serde_json::{Map, Value, json};
use types::filter::Moment;
use types::{
    DeviceToken, JsonDocument, JsonPatch, PatchLimits, PatchRefused, ProviderKey, Timestamp,
    TokenStatus, depth_within, escaped_pointer,
};

use crate::limits::{
    PROFILE_LEVELS_MAX, TOKEN_DOCUMENT_BYTES_MAX, TOKEN_LIFETIME, TOKEN_REASON_BYTES_MAX,
    USER_TOKENS_MAX,
};
use crate::{Decider, InvalidMember};

const PATCH_LIMITS: PatchLimits = PatchLimits {
    bytes_max: 4 * TOKEN_DOCUMENT_BYTES_MAX,
    levels_max: PROFILE_LEVELS_MAX,
};

#[derive(Clone, Debug, PartialEq)]
pub struct TokenCommand {
    pub token: DeviceToken,
    pub action: TokenAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TokenAction {
    /// Register the token, or register it again: all that is known about it is replaced.
    Put(TokenDetails),
    /// Apply a JSON Patch (RFC 6902) to the token as [`token_object`] shows it.
    Patch {
        patch: JsonPatch,
        now: Timestamp,
    },
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    #[error("there is no such token")]
    NotFound,
    #[error(transparent)]
    Patch(#[from] PatchRefused),
    #[error("the patch makes the token invalid: {} must be {}", .0.pointer, .0.expected)]
    Invalid(InvalidMember),
    #[error("the patch would change the token itself")]
    OtherToken,
    #[error("a person can have at most {USER_TOKENS_MAX} device tokens")]
    TooMany,
}

/// One device token of one person. Its state is what is known about it, if it is registered and has
/// not expired.
pub struct Token;

impl Decider for Token {
    type Command = TokenCommand;
    type Event = TokenEvent;
    type State = Option<TokenDetails>;
    type Refusal = TokenRefusal;

    fn decide(
        state: &Option<TokenDetails>,
        TokenCommand { token, action }: TokenCommand,
    ) -> Result<Vec<TokenEvent>, TokenRefusal> {
        let after = match (action, state) {
            (TokenAction::Put(details), _) => details,
            (TokenAction::Patch { patch, now }, Some(stored)) => {
                patched(&token, stored, &patch, now)?
            }
            (TokenAction::Remove, Some(_)) => {
                let token = Personal::Known(token);
                return Ok(vec![TokenEvent::Removed(TokenRemoved { token })]);
            }
            (TokenAction::Patch { .. }, None) => return Err(TokenRefusal::NotFound),
            (TokenAction::Remove, None) => return Ok(vec![]),
        };
        if state.as_ref() == Some(&after) {
            return Ok(vec![]);
        }
        let (token, details) = (Personal::Known(token), Personal::Known(after));
        Ok(vec![match state {
            Some(_) => TokenEvent::Updated(TokenUpdated { token, details }),
            None => TokenEvent::Added(TokenAdded { token, details }),
        }])
    }

    fn evolve(state: &mut Option<TokenDetails>, event: &TokenEvent) {
        *state = match event {
            TokenEvent::Added(TokenAdded { details, .. })
            | TokenEvent::Updated(TokenUpdated { details, .. }) => details.known().cloned(),
            TokenEvent::Removed(_) => None,
        };
    }
}

fn patched(
    token: &DeviceToken,
    stored: &TokenDetails,
    patch: &JsonPatch,
    now: Timestamp,
) -> Result<TokenDetails, TokenRefusal> {
    let mut object = Value::Object(token_object(token, stored));
    patch.apply(&mut object, PATCH_LIMITS)?;
    let Value::Object(mut object) = object else {
        return Err(TokenRefusal::Invalid(InvalidMember::at("", "an object")));
    };
    if object.remove("token").as_ref().and_then(Value::as_str) != Some(token.as_str()) {
        return Err(TokenRefusal::OtherToken);
    }
    parse_token(&mut object, now).map_err(TokenRefusal::Invalid)
}

/// The token as it is shown, and as a patch finds it: every member is there, as `null` where nothing
/// is known, so that it can be replaced.
pub fn token_object(token: &DeviceToken, details: &TokenDetails) -> Map<String, Value> {
    let object = |document: &Option<JsonDocument>| {
        let document = document.as_ref();
        document.map_or(Value::Null, JsonDocument::to_value)
    };
    let expiry_date = match details.expires_at {
        Some(expires_at) => Value::from(expires_at.to_rfc3339_millis()),
        None => Value::Bool(false),
    };
    let members = [
        ("token", Value::from(token.as_str())),
        ("provider_key", Value::from(details.provider_key.name())),
        ("status", Value::from(details.status.name())),
        ("status_reason", json!(details.status_reason)),
        ("device", object(&details.device)),
        ("tracking", object(&details.tracking)),
        ("properties", object(&details.properties)),
        ("expiry_date", expiry_date),
    ];
    let members = members.map(|(name, value)| (name.to_owned(), value));
    members.into_iter().collect()
}

/// Reads what a caller says about a token; members that are not asked for are left. Without a status
/// it is active, without an expiry it lasts [`TOKEN_LIFETIME`] from now.
pub fn parse_token(
    object: &mut Map<String, Value>,
    now: Timestamp,
) -> Result<TokenDetails, InvalidMember> {
    let mut take = |name: &str| object.remove(name).filter(|value| !value.is_null());
    let provider_key =
        take("provider_key").ok_or_else(|| InvalidMember::missing("/provider_key"))?;
    let name = provider_key.as_str();
    let provider_key = name.and_then(ProviderKey::parse).ok_or_else(|| {
        let expected = format!("one of {}", ProviderKey::NAMES.join(", "));
        InvalidMember::at("/provider_key", expected)
    })?;
    let status = match take("status") {
        None => TokenStatus::Active,
        Some(status) => status
            .as_str()
            .and_then(TokenStatus::parse)
            .ok_or_else(|| {
                let expected = format!("one of {}", TokenStatus::NAMES.join(", "));
                InvalidMember::at("/status", expected)
            })?,
    };
    let status_reason = match take("status_reason") {
        None => None,
        Some(Value::String(reason)) if reason.len() <= TOKEN_REASON_BYTES_MAX => Some(reason),
        Some(_) => {
            let expected = format!("a string of at most {TOKEN_REASON_BYTES_MAX} bytes");
            return Err(InvalidMember::at("/status_reason", expected));
        }
    };
    Ok(TokenDetails {
        provider_key,
        status,
        status_reason,
        device: take("device").map(|it| texts("device", it)).transpose()?,
        tracking: take("tracking")
            .map(|it| texts("tracking", it))
            .transpose()?,
        properties: take("properties")
            .map(|it| document("properties", &it))
            .transpose()?,
        expires_at: expiry(take("expiry_date").as_ref(), now)?,
    })
}

/// An object of texts, as the SDKs insist on; what is `null` is not there.
fn texts(name: &str, value: Value) -> Result<JsonDocument, InvalidMember> {
    let Value::Object(mut object) = value else {
        return Err(InvalidMember::at(format!("/{name}"), "an object"));
    };
    object.retain(|_, value| !value.is_null());
    if let Some((member, _)) = object.iter().find(|(_, value)| !value.is_string()) {
        let member = format!("/{name}/{}", escaped_pointer(member));
        return Err(InvalidMember::at(member, "a string"));
    }
    document(name, &Value::Object(object))
}

fn document(name: &str, value: &Value) -> Result<JsonDocument, InvalidMember> {
    let document = JsonDocument::from_value(value);
    if document.as_str().len() > TOKEN_DOCUMENT_BYTES_MAX
        || !depth_within(value, PROFILE_LEVELS_MAX)
    {
        let expected = format!(
            "at most {TOKEN_DOCUMENT_BYTES_MAX} bytes of JSON, {PROFILE_LEVELS_MAX} levels deep"
        );
        return Err(InvalidMember::at(format!("/{name}"), expected));
    }
    Ok(document)
}

/// Whether the token that a caller speaks of has expired already.
pub fn is_expired(object: &Map<String, Value>, now: Timestamp) -> bool {
    let expiry_date = object.get("expiry_date").and_then(Value::as_str);
    expiry_date.and_then(date).is_some_and(|date| date <= now)
}

fn date(text: &str) -> Option<Timestamp> {
    Moment::parse_or_utc(text).and_then(Moment::timestamp)
}

/// In whole milliseconds, as it is shown.
fn expiry(value: Option<&Value>, now: Timestamp) -> Result<Option<Timestamp>, InvalidMember> {
    const MILLISECOND: u64 = 1_000_000;
    let expires_at = match value {
        None => Timestamp(now.0.saturating_add(TOKEN_LIFETIME)),
        Some(Value::Bool(false)) => return Ok(None),
        Some(value) => {
            let date = value.as_str().and_then(date).filter(|date| *date > now);
            date.ok_or_else(|| InvalidMember::at("/expiry_date", EXPIRY))?
        }
    };
    Ok(Some(Timestamp(expires_at.0 / MILLISECOND * MILLISECOND)))
}

const EXPIRY: &str = "a date in the future (ISO 8601), or false for a token that does not expire";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    fn token() -> DeviceToken {
        DeviceToken::parse("abc").expect("a token")
    }

    fn details(value: Value) -> TokenDetails {
        let Value::Object(mut object) = value else {
            panic!("an object")
        };
        parse_token(&mut object, NOW).expect("a valid token")
    }

    fn plain() -> TokenDetails {
        details(json!({"provider_key": "apn", "expiry_date": false}))
    }

    fn added(details: TokenDetails) -> TokenEvent {
        TokenEvent::Added(TokenAdded {
            token: Personal::Known(token()),
            details: Personal::Known(details),
        })
    }

    fn updated(details: TokenDetails) -> TokenEvent {
        TokenEvent::Updated(TokenUpdated {
            token: Personal::Known(token()),
            details: Personal::Known(details),
        })
    }

    fn command(action: TokenAction) -> TokenCommand {
        TokenCommand {
            token: token(),
            action,
        }
    }

    fn patch(operations: &Value) -> TokenCommand {
        let operations = operations.as_array().expect("operations").clone();
        command(TokenAction::Patch {
            patch: JsonPatch::parse(operations).expect("a patch"),
            now: NOW,
        })
    }

    #[test]
    fn putting_registers_and_registers_again() {
        let other = details(json!({"provider_key": "expo"}));
        given::<Token>([])
            .when(command(TokenAction::Put(plain())))
            .then([added(plain())]);
        given::<Token>([added(plain())])
            .when(command(TokenAction::Put(plain())))
            .then_nothing();
        given::<Token>([added(plain())])
            .when(command(TokenAction::Put(other.clone())))
            .then([updated(other)]);
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let operations = json!([
            {"op": "replace", "path": "/status", "value": "revoked"},
            {"op": "replace", "path": "/status_reason", "value": "lost"},
            {"op": "add", "path": "/device", "value": {"platform": "ios"}},
        ]);
        let after = details(json!({
            "provider_key": "apn", "expiry_date": false, "status": "revoked",
            "status_reason": "lost", "device": {"platform": "ios"},
        }));
        given::<Token>([added(plain())])
            .when(patch(&operations))
            .then([updated(after)]);
        given::<Token>([added(plain())])
            .when(patch(
                &json!([{"op": "replace", "path": "/expiry_date", "value": null}]),
            ))
            .then([updated(details(json!({"provider_key": "apn"})))]);
        given::<Token>([added(plain())])
            .when(patch(
                &json!([{"op": "test", "path": "/status", "value": "active"}]),
            ))
            .then_nothing();
    }

    #[test]
    fn a_patch_that_leaves_no_token_is_refused() {
        let refused = |operations: &Value, expected: TokenRefusal| {
            given::<Token>([added(plain())])
                .when(patch(operations))
                .then_refused(expected);
        };
        let statuses = format!("one of {}", TokenStatus::NAMES.join(", "));
        refused(
            &json!([{"op": "replace", "path": "/status", "value": "on"}]),
            TokenRefusal::Invalid(InvalidMember::at("/status", statuses)),
        );
        refused(
            &json!([{"op": "replace", "path": "/token", "value": "other"}]),
            TokenRefusal::OtherToken,
        );
        refused(
            &json!([{"op": "replace", "path": "", "value": 1}]),
            TokenRefusal::Invalid(InvalidMember::at("", "an object")),
        );
        given::<Token>([])
            .when(patch(&json!([])))
            .then_refused(TokenRefusal::NotFound);
    }

    #[test]
    fn removing_says_nothing_twice() {
        let removed = || {
            TokenEvent::Removed(TokenRemoved {
                token: Personal::Known(token()),
            })
        };
        given::<Token>([added(plain())])
            .when(command(TokenAction::Remove))
            .then([removed()]);
        given::<Token>([added(plain()), removed()])
            .when(command(TokenAction::Remove))
            .then_nothing();
    }

    #[test]
    fn expiry_is_a_date_to_come_or_false() {
        let expires_at = |value: Value| {
            let mut object = Map::new();
            object.insert("provider_key".to_owned(), json!("apn"));
            object.insert("expiry_date".to_owned(), value);
            parse_token(&mut object, NOW).map(|details| details.expires_at)
        };
        let by_default = Some(Timestamp(NOW.0 + TOKEN_LIFETIME));
        assert_eq!(expires_at(Value::Null), Ok(by_default));
        assert_eq!(expires_at(json!(false)), Ok(None));
        let date = "2030-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(expires_at(json!("2030-01-01")), Ok(Some(date)));
        assert_eq!(expires_at(json!("2030-01-01T00:00:00")), Ok(Some(date)));
        assert_eq!(
            expires_at(json!("2030-01-01T01:00:00+01:00")),
            Ok(Some(date))
        );
        for wrong in [
            json!(true),
            json!("string"),
            json!("2020-01-01"),
            json!("2600-01-01"),
            json!("1960-01-01"),
            json!(1),
            json!({}),
        ] {
            let refused = Err(InvalidMember::at("/expiry_date", EXPIRY));
            assert_eq!(expires_at(wrong.clone()), refused, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let full = details(json!({
            "provider_key": "onesignal", "status": "failed", "status_reason": "gone",
            "device": {"platform": "web"}, "tracking": {"ip": "::1"}, "properties": [1, "a"],
            "expiry_date": "2030-01-01",
        }));
        for details in [full, plain()] {
            let mut shown = token_object(&token(), &details);
            assert_eq!(parse_token(&mut shown, NOW), Ok(details));
        }
    }
}
