use std::collections::HashMap;

use parking_lot::RwLock;
use roaring::RoaringTreemap;
use types::{Position, StreamId, SubjectId};

use crate::record::{Reader, put_bytes, put_varint};
use crate::{NewRecord, ReadError, Record};

/// Which positions concern a person, a stream or a type of event. In memory, rebuilt from one small
/// value per block.
///
/// A person's streams are not listed: whoever asks for one looks through the person's positions.
#[derive(Default)]
pub struct LogIndex {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    subjects: Vec<Positions>,
    streams: HashMap<String, Positions>,
    types: HashMap<String, RoaringTreemap>,
}

/// Ascending positions. Most people have few events, so one alone takes no allocation.
#[derive(Default)]
enum Positions {
    #[default]
    None,
    One(u64),
    Many(Box<Deltas>),
}

/// Differences as varints.
struct Deltas {
    last: u64,
    bytes: Vec<u8>,
}

/// A piece of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Exclusive.
    pub after: Position,
    /// Exclusive.
    pub before: Position,
    pub newest_first: bool,
    pub at_most: usize,
}

impl Positions {
    fn push(&mut self, position: u64) {
        match self {
            Self::None => *self = Self::One(position),
            Self::One(first) => {
                let mut bytes = Vec::with_capacity(8);
                put_varint(&mut bytes, *first);
                put_varint(&mut bytes, position - *first);
                *self = Self::Many(Box::new(Deltas {
                    last: position,
                    bytes,
                }));
            }
            Self::Many(deltas) => {
                put_varint(&mut deltas.bytes, position - deltas.last);
                deltas.last = position;
            }
        }
    }

    fn within(&self, span: Span) -> Vec<Position> {
        match self {
            Self::None => Vec::new(),
            Self::One(position) => span.take(std::iter::once(*position)),
            Self::Many(deltas) => {
                let mut reader = Reader(&deltas.bytes);
                let mut position = 0;
                span.take(std::iter::from_fn(move || {
                    position += reader.varint().ok()?;
                    Some(position)
                }))
            }
        }
    }
}

impl Span {
    fn take(self, ascending: impl Iterator<Item = u64>) -> Vec<Position> {
        let inside = ascending
            .skip_while(|position| *position <= self.after.0)
            .take_while(|position| *position < self.before.0)
            .map(Position);
        if !self.newest_first {
            return inside.take(self.at_most).collect();
        }
        let mut newest = std::collections::VecDeque::new();
        for position in inside {
            if newest.len() == self.at_most {
                newest.pop_front();
            }
            newest.push_back(position);
        }
        newest.into_iter().rev().collect()
    }
}

impl LogIndex {
    /// Positions of events about the person, in the order asked for.
    pub fn by_subject(&self, subject: SubjectId, span: Span) -> Vec<Position> {
        let state = self.state.read();
        state
            .subjects
            .get(subject.index())
            .map_or_else(Vec::new, |it| it.within(span))
    }

    /// Positions of events of a stream that is not a person's.
    pub fn by_stream(&self, stream: &StreamId, span: Span) -> Vec<Position> {
        let state = self.state.read();
        state
            .streams
            .get(&stream.to_string())
            .map_or_else(Vec::new, |it| it.within(span))
    }

    pub fn by_type(&self, event_type: &str, span: Span) -> Vec<Position> {
        let state = self.state.read();
        let Some(positions) = state.types.get(event_type) else {
            return Vec::new();
        };
        let range = span.after.0.saturating_add(1)..span.before.0;
        if range.is_empty() {
            return Vec::new();
        }
        if span.newest_first {
            let below = positions.rank(range.end - 1);
            let inside = below - positions.rank(span.after.0);
            let wanted = inside.min(span.at_most as u64);
            (0..wanted)
                .filter_map(|n| positions.select(below - 1 - n))
                .map(Position)
                .collect()
        } else {
            let start = positions.rank(span.after.0);
            (start..start + span.at_most as u64)
                .map_while(|n| positions.select(n))
                .take_while(|position| *position < range.end)
                .map(Position)
                .collect()
        }
    }

    /// Every type that occurs, with how often.
    pub fn types(&self) -> Vec<(String, u64)> {
        let state = self.state.read();
        let mut types: Vec<_> = state
            .types
            .iter()
            .map(|(name, positions)| (name.clone(), positions.len()))
            .collect();
        types.sort_unstable();
        types
    }

    /// Takes in what a block holds. Blocks come in order.
    pub fn extend(&self, block: &BlockIndex) -> Result<(), ReadError> {
        let mut state = self.state.write();
        block.each(|entry| {
            for subject in entry.subjects {
                let subject = subject as usize;
                if state.subjects.len() <= subject {
                    state.subjects.resize_with(subject + 1, Positions::default);
                }
                state.subjects[subject].push(entry.position);
            }
            if let Some(stream) = entry.stream {
                match state.streams.get_mut(stream) {
                    Some(positions) => positions.push(entry.position),
                    None => {
                        state
                            .streams
                            .insert(stream.to_owned(), Positions::One(entry.position));
                    }
                }
            }
            if let Some(positions) = state.types.get_mut(entry.event_type) {
                positions.insert(entry.position);
            } else {
                let positions = RoaringTreemap::from_iter([entry.position]);
                state.types.insert(entry.event_type.to_owned(), positions);
            }
        })
    }
}

/// What a block holds, in the few bytes from which the index is rebuilt.
///
/// ```text
/// types     count varint, then each as length varint and UTF-8
/// records   count varint, then for each:
///   type      varint, place in the types
///   stream    length varint and UTF-8; empty for a person's stream
///   subjects  count varint, then each as varint
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockIndex {
    first: Position,
    bytes: Vec<u8>,
}

struct Entry<'a> {
    position: u64,
    event_type: &'a str,
    stream: Option<&'a str>,
    subjects: Vec<u32>,
}

impl BlockIndex {
    pub fn of(first: Position, records: &[NewRecord]) -> Self {
        let mut types: Vec<&str> = Vec::new();
        let mut entries = Vec::new();
        for record in records {
            let place = types.iter().position(|it| *it == record.event_type);
            let place = place.unwrap_or_else(|| {
                types.push(&record.event_type);
                types.len() - 1
            });
            put_varint(&mut entries, place as u64);
            match record.stream.subject() {
                Some(_) => put_bytes(&mut entries, &[]),
                None => put_bytes(&mut entries, record.stream.to_string().as_bytes()),
            }
            put_varint(&mut entries, record.subjects.len() as u64);
            for subject in &record.subjects {
                put_varint(&mut entries, u64::from(subject.0));
            }
        }
        let mut bytes = Vec::new();
        put_varint(&mut bytes, types.len() as u64);
        for event_type in types {
            put_bytes(&mut bytes, event_type.as_bytes());
        }
        put_varint(&mut bytes, records.len() as u64);
        bytes.extend_from_slice(&entries);
        Self { first, bytes }
    }

    pub fn from_bytes(first: Position, bytes: Vec<u8>) -> Self {
        Self { first, bytes }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many records the block holds.
    pub fn count(&self) -> Result<u64, ReadError> {
        let mut count = 0;
        self.each(|_| count += 1)?;
        Ok(count)
    }

    /// Whether it says of these records what is so.
    pub fn agrees_with(&self, records: &[Record<'_>]) -> Result<bool, ReadError> {
        let mut records = records.iter();
        let mut agrees = true;
        self.each(|entry| {
            agrees &= records.next().is_some_and(|record| {
                let stream = StreamId::parse(record.stream);
                let listed = match stream {
                    Some(stream) if stream.subject().is_some() => None,
                    _ => Some(record.stream),
                };
                record.position.0 == entry.position
                    && record.event_type == entry.event_type
                    && listed == entry.stream
                    && record
                        .subjects
                        .iter()
                        .map(|subject| subject.0)
                        .eq(entry.subjects)
            });
        })?;
        Ok(agrees && records.next().is_none())
    }

    fn each(&self, mut take: impl FnMut(Entry<'_>)) -> Result<(), ReadError> {
        let damaged = |what: &str| ReadError::damaged(self.first, format!("in the index: {what}"));
        let mut reader = Reader(&self.bytes);
        let types = reader.varint().map_err(damaged)?;
        let types: Vec<&str> = (0..types)
            .map(|_| reader.text())
            .collect::<Result<_, _>>()
            .map_err(damaged)?;
        let count = reader.varint().map_err(damaged)?;
        for position in (self.first.0..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            let place = reader.number().map_err(damaged)?;
            let event_type = types
                .get(place as usize)
                .ok_or_else(|| damaged("a type is not listed"))?;
            let stream = Some(reader.text().map_err(damaged)?).filter(|name| !name.is_empty());
            let subjects = reader.number().map_err(damaged)?;
            let subjects = (0..subjects)
                .map(|_| reader.number())
                .collect::<Result<_, _>>()
                .map_err(damaged)?;
            take(Entry {
                position,
                event_type,
                stream,
                subjects,
            });
        }
        if !reader.0.is_empty() {
            return Err(damaged("bytes are left over"));
        }
        Ok(())
    }
}
