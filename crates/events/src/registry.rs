use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::DecodeError;
use crate::personal::read_json;
use crate::{
    AudienceEvent, BrandEvent, BulkEvent, ClockEvent, InboxEvent, KeyEvent, ListEvent,
    ListMemberEvent, MessageEvent, Payload, PreferenceEvent, PreferencePageEvent, ProfileEvent,
    RequestEvent, SectionEvent, SubjectEvent, TemplateEvent, TenantEvent, TenantMemberEvent,
    TokenEvent, TopicEvent, TrackEvent, WebhookEvent,
};

/// One event payload in its current shape. `TYPE` is frozen once released; `SCHEMA` only rises.
pub trait EventPayload: Serialize + DeserializeOwned {
    const TYPE: &'static str;
    const SCHEMA: u16;
}

/// Declares the events of one aggregate: variant, payload, stable name, current schema, and the
/// older schemas with the frozen shapes that convert into the current one.
///
/// The enum itself is never encoded: bincode numbers variants, and one inserted in the middle would
/// be read back as another in silence.
macro_rules! aggregate_events {
    (
        $(#[$meta:meta])*
        pub enum $aggregate:ident {
            $($variant:ident($payload:ident) = $name:literal, v $schema:literal
                $(, from [$($old_schema:literal => $old_payload:path),+])?;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $aggregate {
            $($variant($payload),)+
        }

        $(impl $crate::EventPayload for $payload {
            const TYPE: &'static str = $name;
            const SCHEMA: u16 = $schema;
        })+

        $(impl From<$payload> for $crate::Event {
            fn from(payload: $payload) -> Self {
                $aggregate::$variant(payload).into()
            }
        })+

        impl $aggregate {
            /// Every type with every schema that can still be read.
            pub(crate) const TYPES: &'static [(&'static str, u16)] =
                &[$(($name, $schema), $($(($name, $old_schema),)+)?)+];

            pub(crate) fn knows(event_type: &str, schema: u16) -> bool {
                Self::TYPES.contains(&(event_type, schema))
            }

            pub(crate) fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            pub(crate) fn schema(&self) -> u16 {
                match self { $(Self::$variant(_) => $schema,)+ }
            }

            pub(crate) fn encode(&self) -> $crate::Payload {
                match self { $(Self::$variant(payload) => $crate::codec::encode(payload),)+ }
            }

            pub(crate) fn decode(
                event_type: &str,
                schema: u16,
                payload: $crate::Payload,
            ) -> Option<Result<Self, $crate::DecodeError>> {
                match (event_type, schema) {
                    $(($name, $schema) => Some($crate::codec::decode(payload).map(Self::$variant)),
                    $($(($name, $old_schema) => Some(
                        $crate::codec::decode::<$old_payload>(payload)
                            .map(|old| Self::$variant(old.into())),
                    ),)+)?)+
                    _ => None,
                }
            }

            pub(crate) fn payload_to_json(
                event_type: &str,
                schema: u16,
                payload: $crate::Payload,
            ) -> Option<Result<String, $crate::DecodeError>> {
                match (event_type, schema) {
                    $(($name, $schema) => Some($crate::registry::to_json::<$payload>(payload)),
                    $($(($name, $old_schema) => {
                        Some($crate::registry::to_json::<$old_payload>(payload))
                    })+)?)+
                    _ => None,
                }
            }

            pub(crate) fn payload_from_json(
                event_type: &str,
                schema: u16,
                json: &str,
                erased: &[bool],
            ) -> Option<Result<$crate::Payload, $crate::DecodeError>> {
                match (event_type, schema) {
                    $(($name, $schema) => Some($crate::registry::from_json::<$payload>(json, erased)),
                    $($(($name, $old_schema) => {
                        Some($crate::registry::from_json::<$old_payload>(json, erased))
                    })+)?)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use aggregate_events;

pub(crate) fn to_json<P: Serialize + DeserializeOwned>(
    payload: Payload,
) -> Result<String, DecodeError> {
    let payload: P = crate::codec::decode(payload)?;
    serde_json::to_string(&payload).map_err(|error| DecodeError::Payload(error.to_string()))
}

pub(crate) fn from_json<P: Serialize + DeserializeOwned>(
    json: &str,
    erased: &[bool],
) -> Result<Payload, DecodeError> {
    let payload = read_json(erased, || serde_json::from_str::<P>(json));
    let payload = payload.map_err(|error| DecodeError::Payload(error.to_string()))?;
    crate::codec::try_encode(&payload)
}

/// Joins the aggregates into one type; the order of the lines means nothing.
macro_rules! events {
    ($($aggregate:ident($events:ident),)+) => {
        /// Anything that can happen here.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($aggregate($events),)+
        }

        $(impl From<$events> for Event {
            fn from(event: $events) -> Self {
                Self::$aggregate(event)
            }
        })+

        impl Event {
            /// Every type with every schema that can be read, current and past.
            pub fn types() -> impl Iterator<Item = (&'static str, u16)> {
                [$($events::TYPES),+].into_iter().flatten().copied()
            }

            /// The stable dotted name.
            pub fn event_type(&self) -> &'static str {
                match self { $(Self::$aggregate(event) => event.event_type(),)+ }
            }

            /// The version of the payload's shape in which [`Event::encode`] writes.
            pub fn schema(&self) -> u16 {
                match self { $(Self::$aggregate(event) => event.schema(),)+ }
            }

            pub fn encode(&self) -> Payload {
                match self { $(Self::$aggregate(event) => event.encode(),)+ }
            }

            /// Reads any released shape, raised to the current one.
            pub fn decode(event_type: &str, schema: u16, payload: Payload) -> Result<Self, DecodeError> {
                $(if $events::knows(event_type, schema) {
                    let event = $events::decode(event_type, schema, payload);
                    return event.unwrap_or_else(|| Err(unknown(event_type, schema))).map(Self::$aggregate);
                })+
                Err(unknown(event_type, schema))
            }

            /// The payload as JSON in the shape in which it was stored, so that an export loses
            /// nothing and an import gives the same bytes.
            pub fn payload_to_json(event_type: &str, schema: u16, payload: Payload) -> Result<String, DecodeError> {
                $(if $events::knows(event_type, schema) {
                    let json = $events::payload_to_json(event_type, schema, payload);
                    return json.unwrap_or_else(|| Err(unknown(event_type, schema)));
                })+
                Err(unknown(event_type, schema))
            }

            /// The reverse of [`Event::payload_to_json`]. `erased` says of each of the event's subjects
            /// whether the values that are theirs are.
            pub fn payload_from_json(
                event_type: &str,
                schema: u16,
                json: &str,
                erased: &[bool],
            ) -> Result<Payload, DecodeError> {
                $(if let Some(payload) = $events::payload_from_json(event_type, schema, json, erased) {
                    return payload;
                })+
                Err(unknown(event_type, schema))
            }
        }
    };
}

events! {
    Subject(SubjectEvent),
    Profile(ProfileEvent),
    List(ListEvent),
    ListMember(ListMemberEvent),
    Audience(AudienceEvent),
    Tenant(TenantEvent),
    TenantMember(TenantMemberEvent),
    Section(SectionEvent),
    Topic(TopicEvent),
    PreferencePage(PreferencePageEvent),
    Preference(PreferenceEvent),
    Token(TokenEvent),
    Brand(BrandEvent),
    Clock(ClockEvent),
    Key(KeyEvent),
    Webhook(WebhookEvent),
    Request(RequestEvent),
    Message(MessageEvent),
    Bulk(BulkEvent),
    Template(TemplateEvent),
    Track(TrackEvent),
    Inbox(InboxEvent),
}

fn unknown(event_type: &str, schema: u16) -> DecodeError {
    DecodeError::Unknown {
        event_type: event_type.to_owned(),
        schema,
    }
}
