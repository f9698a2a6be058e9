//! What snapshots hold, and what becomes of those that cannot be used.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs};

use engine::{
    Answer, Checksum, ChunkCipher, Command, EventStore, KeyIssued, KeyToIssue, Once, Origin,
    Rebuilt, RequestKey, Snapshots, Terms, Until, replay,
};
use events::codec::Encoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use types::{Clock as _, JsonDocument, Position, Timestamp, hex};

use crate::random::Random;
use crate::running::{ManualClock, Running, SECOND};
use crate::{audiences, people};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/snapshots.txt");

/// A world that is the same each time: some steps about people, or about audiences.
fn world(about_people: bool, steps: usize) -> Running {
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let mut random = Random::new(2026);
    for _ in 0..steps {
        clock.pass(SECOND);
        let command = if about_people {
            people::steps::any(&mut random, clock.now()).0
        } else {
            audiences::any_step(&mut random, 50, clock.now().0).0
        };
        // One by one, so that they fall into groups the same way each time.
        let _refused = running.execute_together(vec![command]);
    }
    if about_people {
        issue_a_key_once(&running);
    }
    running
}

fn issue_a_key_once(running: &Running) {
    let issued = KeyIssued {
        name: "a key".to_owned(),
        prefix: "mk_".to_owned(),
        hash: "00".repeat(32),
        scopes: vec!["admin".to_owned()],
        tenant_id: None,
        expires_at: None,
    };
    let id = "key".to_owned();
    let answer = Answer {
        status: 201,
        body: Some(JsonDocument::from_value(&json!({"id": id}))),
    };
    let once = Once {
        request: RequestKey::new(&["request"], "owner"),
        expires_at: Timestamp(u64::MAX),
        answer: Box::new(move |_| answer),
    };
    let terms = Terms {
        once: Some(once),
        ..Terms::default()
    };
    let command = Command::IssueKey(KeyToIssue { id, issued });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let executed = running.engine.execute_on(command, Origin::default(), terms);
    runtime.block_on(executed).unwrap();
}

fn everything(store: &EventStore) -> Rebuilt {
    replay(store, Until::Head, &mut |_| ()).unwrap()
}

/// The layout of every part. There is nothing else that notices a field that was added or moved, and
/// then a snapshot of an older version would be read as something else.
#[test]
fn what_snapshots_hold_changes_with_its_version_only() {
    let mut lines = String::new();
    for about_people in [true, false] {
        let running = world(about_people, 400);
        let rebuilt = everything(&running.store);
        for part in rebuilt.parts() {
            let mut bytes: Vec<u8> = Vec::new();
            (part.save)(&mut Encoder::new(&mut bytes)).unwrap();
            let hash = hex(&Sha256::digest(&bytes));
            writeln!(lines, "{} v{} {hash}", part.name, part.version).unwrap();
        }
    }
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(Path::new(GOLDEN).parent().unwrap()).unwrap();
        fs::write(GOLDEN, &lines).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap();
    let (was, is): (Vec<_>, Vec<_>) = (golden.lines().collect(), lines.lines().collect());
    assert_eq!(
        was.len(),
        is.len(),
        "a part has come or gone: raise the version of the layout"
    );
    for (was, is) in was.into_iter().zip(is) {
        assert_eq!(
            was, is,
            "what snapshots hold of this read model is another: raise its VERSION, then run with \
             UPDATE_GOLDEN=1 (if only the random steps of these tests are others, the latter is enough)"
        );
    }
}

fn rebuild(snapshots: &Snapshots, store: &EventStore) -> (Rebuilt, u64) {
    let mut first_piece = None;
    let rebuilt = snapshots.rebuild(store, Until::Head, &mut |position| {
        first_piece.get_or_insert(position);
        ControlFlow::Continue(())
    });
    (rebuilt.unwrap(), first_piece.map_or(0, |it| it.0))
}

/// Whatever is the matter with a snapshot, it is passed over, an older one is used, or none, and the
/// state is the same.
#[test]
fn a_snapshot_that_is_not_whole_is_passed_over() {
    let running = world(false, 300);
    let store = &running.store;
    let log = &store.log;
    let truth = running.models.digests();
    let directory = tempfile::tempdir().unwrap();
    let open = |cipher: Arc<dyn ChunkCipher>| {
        Snapshots::open(directory.path().to_owned(), cipher).unwrap()
    };
    let snapshots = open(Arc::new(Checksum));
    let early_at = log.read(Position(100), 1).unwrap()[0].header().last();
    let early = replay(store, Until::Position(early_at), &mut |_| ()).unwrap();
    let turn = snapshots.turn();
    snapshots
        .write(turn, log, &early, &|| true)
        .unwrap()
        .unwrap();
    snapshots
        .write(turn, log, &everything(store), &|| true)
        .unwrap()
        .unwrap();
    let head = log.head().position;
    assert_eq!(snapshots.positions().unwrap(), [early_at, head]);
    let path = directory.path().join(format!("{:020}.snapshot", head.0));
    let whole = fs::read(&path).unwrap();

    let resumed_early = |what: &str| {
        let (rebuilt, read) = rebuild(&snapshots, store);
        assert_eq!(rebuilt.read_models.digests(), truth, "{what}");
        assert!(
            read > early_at.0,
            "{what}: an event was read after the older snapshot"
        );
    };
    let (rebuilt, read) = rebuild(&snapshots, store);
    assert_eq!(
        (rebuilt.read_models.digests(), read),
        (truth.clone(), 0),
        "no event was read"
    );
    let mut random = Random::new(7);
    let anywhere: Vec<usize> = (0..60).map(|_| random.below(whole.len())).collect();
    for place in (0..160).chain(anywhere) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << random.below(8);
        fs::write(&path, &bytes).unwrap();
        resumed_early(&format!("a bit of byte {place} is flipped"));
    }
    for length in [0, 7, 12, 150, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        resumed_early(&format!("cut to {length} bytes"));
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    resumed_early("something follows");
    fs::write(&path, &whole).unwrap();

    // Of another log of the same length.
    let other = world(true, 300);
    let (rebuilt, _) = rebuild(&snapshots, &other.store);
    assert_eq!(rebuilt.read_models.digests(), other.models.digests());

    snapshots.forget_all().unwrap();
    assert_eq!(snapshots.positions().unwrap(), []);
    let (rebuilt, _) = rebuild(&snapshots, store);
    assert_eq!(rebuilt.read_models.digests(), truth);
    // What was begun before is not written any more; nor is what nobody wants.
    assert!(
        snapshots
            .write(turn, log, &rebuilt, &|| true)
            .unwrap()
            .is_none()
    );
    let turn = snapshots.turn();
    assert!(
        snapshots
            .write(turn, log, &rebuilt, &|| false)
            .unwrap()
            .is_none()
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(
        snapshots
            .write(turn, log, &rebuilt, &|| true)
            .unwrap()
            .is_some()
    );
    // What a crash left is removed at the next start.
    fs::write(directory.path().join("00000000000000000007.unfinished"), "").unwrap();
    open(Arc::new(Checksum));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
