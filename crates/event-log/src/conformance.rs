//! What every store must do; each runs this suite.

use types::{ListId, Position, StreamId, StreamVersion, SubjectId, Timestamp};

use crate::{EventLog, NewRecord, Span, verify};

/// A record whose payload has this many bytes and differs from its neighbours.
pub fn record(number: u32, payload_bytes: usize) -> NewRecord {
    let subject = SubjectId(number % 7);
    let stream = if number.is_multiple_of(3) {
        StreamId::List(ListId::parse("news").expect("the id is valid"))
    } else {
        StreamId::Profile(subject)
    };
    let payload = (0..payload_bytes)
        .map(|place| (place ^ number as usize).to_le_bytes()[0])
        .collect();
    NewRecord {
        stream,
        version: StreamVersion(number + 1),
        event_type: if number.is_multiple_of(3) {
            "list.updated"
        } else {
            "profile.updated"
        }
        .into(),
        schema: 1,
        recorded_at: Timestamp(u64::from(number)),
        subjects: vec![subject],
        metadata: number.to_be_bytes().to_vec(),
        payload,
    }
}

/// Runs the whole suite. `reopen` closes the store and opens it again; a store that keeps nothing
/// gives itself back.
pub fn run<L: EventLog>(empty: L, mut reopen: impl FnMut(L) -> L) {
    let mut log = empty;
    assert_eq!(log.head().position, Position::START);
    assert!(
        log.read(Position(1), 1024)
            .expect("an empty log is readable")
            .is_empty()
    );
    let unchanged = log.append(&[]).expect("an empty group is fine");
    assert_eq!(unchanged, log.head());

    let mut written: Vec<NewRecord> = Vec::new();
    let mut number = 0;
    for (group, payload_bytes) in [
        (1, 10),
        (3, 200),
        (64, 220),
        (1, 300 * 1024),
        (1, 0),
        (1_024, 100),
        (2, 20_000),
        (2, 90_000),
    ] {
        let records: Vec<NewRecord> = (0..group)
            .map(|place| record(number + place, payload_bytes))
            .collect();
        number += group;
        let head = log.append(&records).expect("a group is taken");
        written.extend(records);
        assert_eq!(head.position, Position(written.len() as u64));
        assert_eq!(head, log.head());
        check(&log, &written);
    }
    let head = log.head();
    log = reopen(log);
    assert_eq!(log.head(), head, "reopening changes nothing");
    check(&log, &written);
    let last = [record(number, 50)];
    written.extend(last.clone());
    log.append(&last).expect("a reopened log goes on");
    log.release_memory()
        .expect("memory can be given back at any time");
    check(&log, &written);
    log = reopen(log);
    check(&log, &written);
}

/// Everything that the log says, against what was written.
#[track_caller]
pub fn check(log: &impl EventLog, written: &[NewRecord]) {
    let mut position = Position(1);
    while position.0 <= written.len() as u64 {
        let piece = log
            .read(position, 64 * 1024)
            .expect("what was written is readable");
        assert!(!piece.is_empty(), "nothing at {position}");
        for raw in piece {
            let block = raw.decode().expect("a block is whole");
            for read in block.records() {
                let read = read.expect("a record is whole");
                let expected = &written[usize::try_from(read.position.0).expect("it fits") - 1];
                assert_eq!(read.stream, expected.stream.to_string());
                assert_eq!(read.version, expected.version);
                assert_eq!(read.event_type, expected.event_type);
                assert_eq!(read.recorded_at, expected.recorded_at);
                assert_eq!(read.subjects.iter().collect::<Vec<_>>(), expected.subjects);
                assert_eq!(read.metadata, expected.metadata);
                assert!(
                    read.payload == expected.payload,
                    "the payload at {} differs",
                    read.position
                );
                assert_eq!(read.position, position);
                position = position.next();
            }
        }
    }
    let report = verify(log, &mut |_| ());
    assert_eq!(report.damage, None);
    assert_eq!(report.events, written.len() as u64);
    assert_eq!(report.root, log.head().root);
    check_index(log, written);
}

#[track_caller]
fn check_index(log: &impl EventLog, written: &[NewRecord]) {
    let middle = Position(written.len() as u64 / 2);
    let positions = |accepts: &dyn Fn(&NewRecord) -> bool, span: Span| {
        let mut positions: Vec<Position> = (1..)
            .map(Position)
            .zip(written)
            .filter(|(position, it)| {
                *position > span.after && *position < span.before && accepts(it)
            })
            .map(|(position, _)| position)
            .collect();
        if span.newest_first {
            positions.reverse();
        }
        positions.truncate(span.at_most);
        positions
    };
    let list = StreamId::List(ListId::parse("news").expect("the id is valid"));
    for newest_first in [false, true] {
        for (after, before) in [
            (Position(0), Position(u64::MAX)),
            (middle, Position(u64::MAX)),
            (Position(0), middle),
        ] {
            let span = Span {
                after,
                before,
                newest_first,
                at_most: 10,
            };
            let subject = SubjectId(3);
            assert_eq!(
                log.index().by_subject(subject, span),
                positions(&|it| it.subjects.contains(&subject), span),
            );
            assert_eq!(
                log.index().by_stream(&list, span),
                positions(&|it| it.stream == list, span),
            );
            assert_eq!(
                log.index().by_type("profile.updated", span),
                positions(&|it| it.event_type == "profile.updated", span),
            );
        }
    }
}
