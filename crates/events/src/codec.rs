//! The binary form of payloads and metadata: the only place that knows bincode.
//!
//! Little-endian, variable-length integers, a size limit, left-over bytes refused. bincode is not
//! self-describing: the record beside the payload names the event's type and schema, and golden
//! files guard every shape.

use std::io::{self, Read, Write};

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Payload;
use crate::personal::{gather, give};

/// The largest payload or metadata that is read or written, in bytes.
pub const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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

/// A payload, with what is personal apart.
///
/// # Panics
/// If it is over [`PAYLOAD_BYTES_MAX`]; the limits on requests keep every payload far below.
pub fn encode<T: Serialize>(payload: &T) -> Payload {
    try_encode(payload).expect("payloads are plain data of bounded size")
}

/// As [`encode`], for payloads of which nobody has checked the size.
pub fn try_encode<T: Serialize>(payload: &T) -> Result<Payload, DecodeError> {
    let (open, personal) = gather(|| try_to_bytes(payload));
    let open = open?;
    Ok(Payload { open, personal })
}

/// The reverse of [`encode`].
pub fn decode<T: DeserializeOwned>(payload: Payload) -> Result<T, DecodeError> {
    let Payload { open, personal } = payload;
    let (decoded, all_taken) = give(personal, || from_bytes(&open));
    let decoded = decoded?;
    if all_taken {
        Ok(decoded)
    } else {
        let what = "it has more personal values than its shape has room for";
        Err(DecodeError::Payload(what.to_owned()))
    }
}

/// # Panics
/// If the value is over [`PAYLOAD_BYTES_MAX`].
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    try_to_bytes(value).expect("payloads are plain data of bounded size")
}

/// As [`to_bytes`], for values of which nobody has checked the size.
pub fn try_to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    // Given a limit, bincode would go over the value twice, to know its size first; and what is
    // personal must be met once.
    let done = options().with_no_limit().serialize_into(&mut bytes, value);
    done.map_err(|error| DecodeError::Payload(error.to_string()))?;
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return Err(DecodeError::Payload("it is too large".to_owned()));
    }
    Ok(bytes)
}

pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    options()
        .deserialize(bytes)
        .map_err(|error| DecodeError::Payload(error.to_string()))
}

/// The largest single value of a stream of values, in bytes: a set of four billion people.
const VALUE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Values that are read in one go.
const BATCH_VALUES: u64 = 1_024;

fn stream_options() -> impl Options {
    bincode::DefaultOptions::new().with_varint_encoding()
}

/// Writes values one after the other, as snapshots hold them. Nothing says what they are: whoever
/// reads has to know.
pub struct Encoder<'a>(&'a mut dyn Write);

impl<'a> Encoder<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self(out)
    }

    pub fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        let written = stream_options()
            .with_no_limit()
            .serialize_into(&mut *self.0, value);
        written.map_err(io_error)
    }

    /// How many there are, and each as a value of its own.
    pub fn put_all<T: Serialize>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
    ) -> io::Result<()> {
        self.put(&(values.len() as u64))?;
        for value in values {
            self.put(&value)?;
        }
        Ok(())
    }
}

/// Reads what an [`Encoder`] wrote, in the same order.
pub struct Decoder<'a>(&'a mut dyn Read);

impl<'a> Decoder<'a> {
    pub fn new(input: &'a mut dyn Read) -> Self {
        Self(input)
    }

    pub fn take<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let read = stream_options()
            .with_limit(VALUE_BYTES_MAX)
            .deserialize_from(&mut *self.0);
        read.map_err(io_error)
    }

    /// The reverse of [`Encoder::put_all`].
    pub fn take_all<T: DeserializeOwned>(
        &mut self,
    ) -> io::Result<impl Iterator<Item = io::Result<T>>> {
        let mut left: u64 = self.take()?;
        let mut batch = Vec::new().into_iter();
        Ok(std::iter::from_fn(move || {
            if batch.as_slice().is_empty() {
                match self.take_batch(&mut left) {
                    Ok(taken) => batch = taken.into_iter(),
                    Err(error) => {
                        left = 0;
                        return Some(Err(error));
                    }
                }
            }
            batch.next().map(Ok)
        }))
    }

    /// Some of the values that are left. They share what it takes to read them.
    fn take_batch<T: DeserializeOwned>(&mut self, left: &mut u64) -> io::Result<Vec<T>> {
        let options = stream_options().with_limit(VALUE_BYTES_MAX);
        let mut reading = bincode::Deserializer::with_reader(&mut *self.0, options);
        let count = BATCH_VALUES.min(*left);
        *left -= count;
        let values = (0..count).map(|_| T::deserialize(&mut reading).map_err(io_error));
        values.collect()
    }

    /// All of them in one collection.
    pub fn take_into<T: DeserializeOwned, C: FromIterator<T>>(&mut self) -> io::Result<C> {
        self.take_all()?.collect()
    }
}

fn io_error(error: bincode::Error) -> io::Error {
    if let bincode::ErrorKind::Io(error) = *error {
        return error;
    }
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
