//! The binary form of payloads and metadata: the only place that knows bincode.
//!
//! Little-endian, variable-length integers, a size limit, left-over bytes refused. bincode is not
//! self-describing: the record beside the payload names the event's type and schema, and golden
//! files guard every shape.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest payload or metadata that is read or written, in bytes.
pub const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(
        "unknown event `{event_type}` with schema {schema}; a newer version may have written it"
    )]
    Unknown { event_type: String, schema: u16 },
    #[error("the payload does not decode: {0}")]
    Payload(String),
}

fn options() -> impl Options {
    bincode::DefaultOptions::new()
        .with_varint_encoding()
        .with_limit(PAYLOAD_BYTES_MAX)
        .reject_trailing_bytes()
}

/// # Panics
/// If the value is over [`PAYLOAD_BYTES_MAX`]; the limits on requests keep every payload far below.
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    try_to_bytes(value).expect("payloads are plain data of bounded size")
}

/// As [`to_bytes`], for values of which nobody has checked the size.
pub fn try_to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, DecodeError> {
    let bytes = options().serialize(value);
    bytes.map_err(|error| DecodeError::Payload(error.to_string()))
}

pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    options()
        .deserialize(bytes)
        .map_err(|error| DecodeError::Payload(error.to_string()))
}
