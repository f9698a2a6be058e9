//! What every store must do; each runs this suite.

use types::{ListId, Position, StreamId, StreamVersion, SubjectId, Timestamp};

use crate::{
    AppendError, EventLog, Labels, NewRecord, RECORD_BYTES_MAX, RECORD_SUBJECTS_MAX, Span, verify,
};

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
        labels: labels_of(&number.to_be_bytes()),
        metadata: number.to_be_bytes().to_vec(),
        payload,
    }
}

/// The labels of such a record, by its metadata.
pub fn labels_of(metadata: &[u8]) -> Labels {
    let number = metadata.try_into().map_or(0, u32::from_be_bytes);
    Labels {
        common: vec![number % 3],
        rare: Some(number << 8),
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
    refuses_what_it_could_not_read(&log);
    check(&log, &written);

    let seed = 0x6d75_7374_6572;
    log = at_random(log, &mut written, seed, &mut reopen);
    // The largest call there is: ten thousand people, some kilobytes each, in one group.
    let number = u32::try_from(written.len()).expect("it fits");
    let group: Vec<NewRecord> = (0..10_000).map(|n| record(number + n, 2_500)).collect();
    log.append(&group)
        .expect("a group of tens of megabytes is taken");
    written.extend(group);
    log.close().expect("a log can be closed");
    log = reopen(log);
    check(&log, &written);
}

/// A record over a limit is refused, with all of its group, and the log goes on.
fn refuses_what_it_could_not_read(log: &impl EventLog) {
    let head = log.head();
    let too_long = record(0, RECORD_BYTES_MAX);
    let mut too_many = record(0, 10);
    too_many.subjects = vec![SubjectId(1); RECORD_SUBJECTS_MAX + 1];
    let mut long_name = record(0, 10);
    long_name.event_type = "a".repeat(256).into();
    for refused in [too_long, too_many, long_name] {
        assert!(matches!(
            log.append(&[record(0, 10), refused]),
            Err(AppendError::TooLarge { place: 1, .. }),
        ));
        assert_eq!(log.head(), head);
    }
}

/// Groups of any size with records of any size, reopened now and then.
fn at_random<L: EventLog>(
    mut log: L,
    written: &mut Vec<NewRecord>,
    seed: u64,
    reopen: &mut impl FnMut(L) -> L,
) -> L {
    let mut state = seed;
    // SplitMix64.
    let mut below = |limit: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((value ^ (value >> 31)) % limit).expect("the limits are small")
    };
    for round in 0..60 {
        let count = [1, 1, 3, 70][below(4) as usize];
        let bytes = [0, 50, 400, 9_000, 23_000, 60_000][below(6) as usize];
        let number = u32::try_from(written.len()).expect("it fits");
        let group: Vec<NewRecord> = (0..count)
            .map(|n| {
                let mut record = record(number + n, below(bytes + 1) as usize);
                record.subjects = (0..below(4)).map(|_| SubjectId(below(20))).collect();
                record
            })
            .collect();
        let head = log
            .append(&group)
            .unwrap_or_else(|error| panic!("seed {seed:#x}, round {round}: {error}"));
        written.extend(group);
        assert_eq!(
            head.position.0,
            written.len() as u64,
            "seed {seed:#x}, round {round}"
        );
        if below(15) == 0 {
            log = reopen(log);
            assert_eq!(log.head(), head, "seed {seed:#x}, round {round}");
        }
    }
    check(&log, written);
    log
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
            assert_eq!(
                log.index().by_common_label(2, span),
                positions(&|it| it.labels.common == [2], span),
            );
            let rare = written[written.len() / 3].labels.rare;
            assert_eq!(
                log.index().by_rare_label(rare.unwrap_or_default(), span),
                positions(&|it| it.labels.rare == rare, span),
            );
        }
    }
}
