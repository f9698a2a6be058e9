use std::borrow::Cow;
use std::collections::HashMap;

use parking_lot::RwLock;
use roaring::RoaringTreemap;
use types::{Position, StreamId, SubjectId};

use crate::labels::{LabelTable, RareLabels};
use crate::record::{Reader, put_bytes, put_varint};
use crate::{Labels, NewRecord, ReadError, Record};

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
    common: HashMap<u32, RoaringTreemap>,
    rare: RareLabels,
}

/// Ascending positions. Most people have few events, so one or two take no allocation.
#[derive(Default)]
enum Positions {
    #[default]
    None,
    One(u64),
    Two {
        first: u64,
        delta: u32,
    },
    Many(Box<Deltas>),
}

/// Differences as varints, in pieces: a reader begins at any of them, from either end.
#[derive(Default)]
struct Deltas {
    count: usize,
    last: u64,
    bytes: Vec<u8>,
    /// Where each piece but the first begins.
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Default)]
struct Piece {
    /// The last position before it.
    after: u64,
    start: usize,
}

/// Positions in one piece: what a reader decodes at most in vain.
const PIECE_POSITIONS: usize = 128;

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
    /// Positions come in order; one that repeats is the same event again.
    fn push(&mut self, position: u64) {
        match self {
            Self::None => *self = Self::One(position),
            Self::One(first) if *first == position => {}
            Self::One(first) => {
                let first = *first;
                *self = match u32::try_from(position - first) {
                    Ok(delta) => Self::Two { first, delta },
                    Err(_) => Self::many(&[first, position]),
                };
            }
            Self::Two { first, delta } => {
                let second = *first + u64::from(*delta);
                if second != position {
                    *self = Self::many(&[*first, second, position]);
                }
            }
            Self::Many(deltas) => deltas.push(position),
        }
    }

    fn many(positions: &[u64]) -> Self {
        let mut deltas = Deltas::default();
        for position in positions {
            deltas.push(*position);
        }
        Self::Many(Box::new(deltas))
    }

    fn within(&self, span: Span) -> Vec<Position> {
        match self {
            Self::None => Vec::new(),
            Self::One(position) => span.of_few(&[*position]),
            Self::Two { first, delta } => span.of_few(&[*first, *first + u64::from(*delta)]),
            Self::Many(deltas) => deltas.within(span),
        }
    }
}

impl Deltas {
    fn push(&mut self, position: u64) {
        if self.count > 0 && position == self.last {
            return;
        }
        if self.count > 0 && self.count.is_multiple_of(PIECE_POSITIONS) {
            self.pieces.push(Piece {
                after: self.last,
                start: self.bytes.len(),
            });
        }
        put_varint(&mut self.bytes, position - self.last);
        self.last = position;
        self.count += 1;
    }

    fn within(&self, span: Span) -> Vec<Position> {
        let mut found = Vec::new();
        if span.newest_first {
            let newest = self.pieces.partition_point(|it| it.after < span.before.0);
            for number in (0..=newest).rev() {
                let piece: Vec<u64> = self.piece(number).collect();
                let ends_before = piece.first().is_some_and(|first| *first <= span.after.0);
                found.extend(piece.into_iter().rev().filter(|it| span.holds(*it)));
                if ends_before || found.len() >= span.at_most {
                    break;
                }
            }
        } else {
            let oldest = self.pieces.partition_point(|it| it.after <= span.after.0);
            for number in oldest..=self.pieces.len() {
                found.extend(self.piece(number).filter(|it| span.holds(*it)));
                let next = self.pieces.get(number);
                if next.is_none_or(|it| it.after >= span.before.0) || found.len() >= span.at_most {
                    break;
                }
            }
        }
        found.truncate(span.at_most);
        found.into_iter().map(Position).collect()
    }

    fn piece(&self, number: usize) -> impl Iterator<Item = u64> {
        let piece = number
            .checked_sub(1)
            .map_or(Piece::default(), |place| self.pieces[place]);
        let end = self
            .pieces
            .get(number)
            .map_or(self.bytes.len(), |next| next.start);
        let mut reader = Reader(&self.bytes[piece.start..end]);
        let mut position = piece.after;
        std::iter::from_fn(move || {
            position += reader.varint().ok()?;
            Some(position)
        })
    }
}

impl Span {
    fn holds(self, position: u64) -> bool {
        position > self.after.0 && position < self.before.0
    }

    pub(crate) fn of_few(self, ascending: &[u64]) -> Vec<Position> {
        let mut positions: Vec<Position> = ascending
            .iter()
            .filter(|position| self.holds(**position))
            .map(|position| Position(*position))
            .collect();
        if self.newest_first {
            positions.reverse();
        }
        positions.truncate(self.at_most);
        positions
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
        let positions = state.types.get(event_type);
        positions.map_or_else(Vec::new, |it| within(it, span))
    }

    /// Positions of records with a label that many share.
    pub fn by_common_label(&self, label: u32, span: Span) -> Vec<Position> {
        let state = self.state.read();
        let positions = state.common.get(&label);
        positions.map_or_else(Vec::new, |it| within(it, span))
    }

    /// How many records have a label that many share.
    pub fn count_common_label(&self, label: u32) -> u64 {
        let state = self.state.read();
        state.common.get(&label).map_or(0, RoaringTreemap::len)
    }

    /// How many records are of a type.
    pub fn count_type(&self, event_type: &str) -> u64 {
        let state = self.state.read();
        state.types.get(event_type).map_or(0, RoaringTreemap::len)
    }

    /// Positions of records with a label that few share.
    pub fn by_rare_label(&self, label: u32, span: Span) -> Vec<Position> {
        self.state.read().rare.within(label, span)
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

    /// Whether the record is found by its type, its stream and the people it is about.
    pub(crate) fn lists(&self, record: &Record<'_>) -> bool {
        let position = record.position.0;
        let here = Span {
            after: Position(position.saturating_sub(1)),
            before: Position(position.saturating_add(1)),
            newest_first: false,
            at_most: 1,
        };
        let state = self.state.read();
        let by_type = state
            .types
            .get(record.event_type)
            .is_some_and(|positions| positions.contains(position));
        let of_a_person = StreamId::parse(record.stream).is_some_and(|it| it.subject().is_some());
        let by_stream = of_a_person
            || state
                .streams
                .get(record.stream)
                .is_some_and(|positions| !positions.within(here).is_empty());
        let by_subject = record.subjects.iter().all(|subject| {
            let positions = state.subjects.get(subject.index());
            positions.is_some_and(|positions| !positions.within(here).is_empty())
        });
        by_type && by_stream && by_subject
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
            for label in entry.common {
                state
                    .common
                    .entry(label)
                    .or_default()
                    .insert(entry.position);
            }
            if let Some(label) = entry.rare {
                state.rare.push(label, entry.position);
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

fn within(positions: &RoaringTreemap, span: Span) -> Vec<Position> {
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
        (start..start.saturating_add(span.at_most as u64))
            .map_while(|n| positions.select(n))
            .take_while(|position| *position < range.end)
            .map(Position)
            .collect()
    }
}

fn label(reader: &mut Reader<'_>) -> Result<u32, &'static str> {
    let bytes = reader.take(4)?.try_into().map_err(|_| "too short")?;
    Ok(u32::from_be_bytes(bytes))
}

/// What a block holds, in the few bytes from which the index is rebuilt.
///
/// ```text
/// types     count varint, then each as length varint and UTF-8
/// labels    count varint, then each in 4 bytes, big-endian
/// records   count varint, then for each:
///   type      varint, place in the types
///   stream    length varint and UTF-8; empty for a person's stream
///   subjects  count varint, then each as varint
///   rare      varint, place in the labels and 1; 0 if there is none
///   common    count varint, then for each its place in the labels as varint
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
    rare: Option<u32>,
    common: Vec<u32>,
}

/// CRC-32 over the position and the content.
fn checksum(first: Position, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first.0.to_be_bytes());
    hasher.update(content);
    hasher.finalize()
}

impl BlockIndex {
    pub fn of(first: Position, records: &[NewRecord]) -> Self {
        Self::build(
            first,
            records.iter().map(|record| {
                let listed = record.stream.subject().is_none();
                let stream = listed.then(|| record.stream.to_string().into());
                let subjects = record.subjects.iter().copied();
                let labels = record.labels.clone();
                (record.event_type.as_ref(), stream, subjects, labels)
            }),
        )
    }

    /// The same of records as stored, whatever the names of their streams. What labels they have follows
    /// from their metadata.
    pub fn of_stored(
        first: Position,
        records: &[Record<'_>],
        labels_of: fn(&[u8]) -> Labels,
    ) -> Self {
        Self::build(
            first,
            records.iter().map(|record| {
                let of_a_person =
                    StreamId::parse(record.stream).is_some_and(|it| it.subject().is_some());
                let stream = (!of_a_person).then(|| record.stream.into());
                let subjects: Vec<SubjectId> = record.subjects.iter().collect();
                let labels = labels_of(record.metadata);
                (record.event_type, stream, subjects.into_iter(), labels)
            }),
        )
    }

    fn build<'a>(
        first: Position,
        records: impl ExactSizeIterator<
            Item = (
                &'a str,
                Option<Cow<'a, str>>,
                impl ExactSizeIterator<Item = SubjectId>,
                Labels,
            ),
        >,
    ) -> Self {
        let count = records.len();
        let mut types: Vec<&str> = Vec::new();
        let mut entries = Vec::new();
        let mut table = LabelTable::default();
        for (event_type, stream, subjects, labels) in records {
            let place = types.iter().position(|it| *it == event_type);
            let place = place.unwrap_or_else(|| {
                types.push(event_type);
                types.len() - 1
            });
            put_varint(&mut entries, place as u64);
            put_bytes(&mut entries, stream.unwrap_or_default().as_bytes());
            put_varint(&mut entries, subjects.len() as u64);
            for subject in subjects {
                put_varint(&mut entries, u64::from(subject.0));
            }
            let rare = labels.rare.map_or(0, |label| table.place(label) + 1);
            put_varint(&mut entries, rare);
            put_varint(&mut entries, labels.common.len() as u64);
            for label in labels.common {
                let place = table.place(label);
                put_varint(&mut entries, place);
            }
        }
        let mut bytes = Vec::new();
        put_varint(&mut bytes, types.len() as u64);
        for event_type in types {
            put_bytes(&mut bytes, event_type.as_bytes());
        }
        put_varint(&mut bytes, table.labels.len() as u64);
        for label in &table.labels {
            bytes.extend(label.to_be_bytes());
        }
        put_varint(&mut bytes, count as u64);
        bytes.extend_from_slice(&entries);
        // The tree does not cover it, and not all of it can be compared with the records.
        let checksum = checksum(first, &bytes);
        bytes.extend(checksum.to_be_bytes());
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

    fn each(&self, mut take: impl FnMut(Entry<'_>)) -> Result<(), ReadError> {
        let damaged = |what: &str| ReadError::damaged(self.first, format!("in the index: {what}"));
        let content = self.bytes.split_last_chunk();
        let (content, found) = content.ok_or_else(|| damaged("it is too short"))?;
        if checksum(self.first, content).to_be_bytes() != *found {
            return Err(damaged("it does not match its checksum"));
        }
        let mut reader = Reader(content);
        let types = reader.varint().map_err(damaged)?;
        let types: Vec<&str> = (0..types)
            .map(|_| reader.text())
            .collect::<Result<_, _>>()
            .map_err(damaged)?;
        let labels = reader.number().map_err(damaged)?;
        let labels = (0..labels)
            .map(|_| label(&mut reader))
            .collect::<Result<Vec<u32>, _>>()
            .map_err(damaged)?;
        let label_at = |place: u32| -> Result<u32, ReadError> {
            let label = labels.get(place as usize).copied();
            label.ok_or_else(|| damaged("a label is not listed"))
        };
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
            let rare = match reader.number().map_err(damaged)? {
                0 => None,
                place => Some(label_at(place - 1)?),
            };
            let common = reader.number().map_err(damaged)?;
            let common = (0..common)
                .map(|_| label_at(reader.number().map_err(damaged)?))
                .collect::<Result<_, _>>()?;
            take(Entry {
                position,
                event_type,
                stream,
                subjects,
                rare,
                common,
            });
        }
        if !reader.0.is_empty() {
            return Err(damaged("bytes are left over"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_positions_take_no_more_room_than_one() {
        assert_eq!(size_of::<Positions>(), 16);
    }

    proptest! {
        #[test]
        fn any_span_of_any_positions_is_that_of_a_plain_list(
            gaps in proptest::collection::vec(0_u64..300, 0..700),
            far in any::<bool>(),
            after in 0_u64..60_000,
            before in 0_u64..60_000,
            newest_first in any::<bool>(),
            at_most in 0_usize..300,
        ) {
            let mut positions = Positions::default();
            let mut plain: Vec<u64> = Vec::new();
            let mut last = if far { 1 << 40 } else { 1 };
            for gap in gaps {
                positions.push(last);
                plain.push(last);
                last += gap;
            }
            plain.dedup();
            let shift = if far { 1 << 40 } else { 0 };
            let span = Span {
                after: Position(shift + after),
                before: Position(shift + before),
                newest_first,
                at_most,
            };
            prop_assert_eq!(positions.within(span), span.of_few(&plain));
        }
    }
}
