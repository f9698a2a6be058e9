//! The byte form of a record, which the tree covers.
//!
//! ```text
//! position      varint
//! stream        length varint, UTF-8
//! version       varint
//! event type    length varint, UTF-8
//! schema        varint
//! recorded at   varint, nanoseconds since 1970
//! subjects      count varint, then each as varint
//! metadata      length varint, bytes
//! payload       all that is left
//! ```
//! Varints are LEB128: seven bits a byte, least significant first, in the shortest form.

use std::borrow::Cow;

use types::{Position, StreamId, StreamVersion, SubjectId, Timestamp};

use crate::Labels;

/// A record as the writer hands it in: everything but its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub stream: StreamId,
    pub version: StreamVersion,
    pub event_type: Cow<'static, str>,
    pub schema: u16,
    pub recorded_at: Timestamp,
    pub subjects: Vec<SubjectId>,
    /// By what else it is found. They follow from the metadata, and are no part of the byte form.
    pub labels: Labels,
    pub metadata: Vec<u8>,
    pub payload: Vec<u8>,
}

/// A record decoded in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub position: Position,
    pub stream: &'a str,
    pub version: StreamVersion,
    pub event_type: &'a str,
    pub schema: u16,
    pub recorded_at: Timestamp,
    pub subjects: Subjects<'a>,
    pub metadata: &'a [u8],
    pub payload: &'a [u8],
}

/// The people that a record is about. Checked when the record was decoded, read when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subjects<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Subjects<'a> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = SubjectId> + use<'a> {
        let mut reader = Reader(self.bytes);
        (0..self.count).map_while(move |_| reader.number().ok().map(SubjectId))
    }
}

/// Appends the record's byte form.
pub fn encode(record: &NewRecord, position: Position, out: &mut Vec<u8>) {
    put_varint(out, position.0);
    put_bytes(out, record.stream.to_string().as_bytes());
    put_varint(out, u64::from(record.version.0));
    put_bytes(out, record.event_type.as_bytes());
    put_varint(out, u64::from(record.schema));
    put_varint(out, record.recorded_at.0);
    put_varint(out, record.subjects.len() as u64);
    for subject in &record.subjects {
        put_varint(out, u64::from(subject.0));
    }
    put_bytes(out, &record.metadata);
    out.extend_from_slice(&record.payload);
}

impl<'a> Record<'a> {
    /// Reads the byte form; says what is wrong with it otherwise.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let mut reader = Reader(bytes);
        let position = Position(reader.varint()?);
        let stream = reader.text()?;
        let version = StreamVersion(reader.number()?);
        let event_type = reader.text()?;
        let schema = u16::try_from(reader.varint()?).map_err(|_| "a schema is out of range")?;
        let recorded_at = Timestamp(reader.varint()?);
        let count = usize::try_from(reader.varint()?).map_err(|_| "a count is out of range")?;
        let start = reader.0;
        for _ in 0..count {
            reader.number()?;
        }
        let subjects = Subjects {
            count,
            bytes: &start[..start.len() - reader.0.len()],
        };
        let metadata = reader.bytes()?;
        Ok(Self {
            position,
            stream,
            version,
            event_type,
            schema,
            recorded_at,
            subjects,
            metadata,
            payload: reader.0,
        })
    }
}

/// Appends a number in the form that records have it.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends bytes after their length.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes values off the front of some bytes. No input makes it panic or allocate.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0_u64;
        for place in 0..10_u32 {
            let (byte, rest) = self
                .0
                .split_first()
                .ok_or("the bytes end inside a number")?;
            self.0 = rest;
            let low = u64::from(byte & 0x7f);
            if place == 9 && low > 1 {
                return Err("a number has more than 64 bits");
            }
            value |= low << (7 * place);
            if byte & 0x80 == 0 {
                let shortest = *byte != 0 || place == 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err("a number is not in its shortest form")
                };
            }
        }
        Err("a number does not end")
    }

    /// A varint of at most 32 bits.
    pub fn number(&mut self) -> Result<u32, &'static str> {
        u32::try_from(self.varint()?).map_err(|_| "a number has more than 32 bits")
    }

    /// Bytes after their length.
    pub fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let length = usize::try_from(self.varint()?).map_err(|_| "a length is out of range")?;
        self.take(length)
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or("the bytes end too early")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// UTF-8 after its length.
    pub fn text(&mut self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(
            position in 1_u64..,
            version in 1_u32..,
            at in 0_u64..,
            subjects in proptest::collection::vec(any::<u32>(), 0..5),
            metadata in proptest::collection::vec(any::<u8>(), 0..40),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let record = NewRecord {
                stream: StreamId::Profile(SubjectId(7)),
                version: StreamVersion(version),
                event_type: "profile.updated".into(),
                schema: 1,
                recorded_at: Timestamp(at),
                subjects: subjects.iter().copied().map(SubjectId).collect(),
                labels: Labels::default(),
                metadata,
                payload,
            };
            let mut bytes = Vec::new();
            encode(&record, Position(position), &mut bytes);
            let read = Record::decode(&bytes).unwrap();
            prop_assert_eq!(read.position, Position(position));
            prop_assert_eq!(read.stream, "profile-7");
            prop_assert_eq!(read.version.0, version);
            prop_assert_eq!(read.subjects.iter().collect::<Vec<_>>(), record.subjects);
            prop_assert_eq!(read.metadata, record.metadata);
            prop_assert_eq!(read.payload, record.payload);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert!(record.subjects.iter().count() <= bytes.len());
            }
        }
    }
}
