use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proofs::{Checkpoint, KeyHistory};
use transparency::{KeyError, OpenError, Options, rotate_key};

use crate::world::World;

#[test]
fn a_key_is_made_once_and_nobody_else_can_read_it() {
    let world = World::with(3);
    let key = world.open().keys().signer().reveal();
    assert_eq!(world.open().keys().signer().reveal(), key);
    let mode = fs::metadata(world.path("log-key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = fs::read_to_string(world.path("log-keys")).unwrap();
    assert!(!public.contains("PRIVATE"));
    assert_eq!(
        fs::read_to_string(world.path("tiles/keys")).unwrap(),
        public
    );
}

#[test]
fn a_rotation_is_followed_and_one_that_is_cut_off_comes_to_an_end() {
    let mut world = World::with(3);
    let first = world.open();
    let old = first.keys().signer().verifier().clone();
    let before = first.checkpoint().unwrap();
    drop(first);
    let new = rotate_key(&world.log, &world.options()).unwrap();
    world.write(4);
    let after = world.open().checkpoint().unwrap();
    let history = fs::read_to_string(world.path("log-keys")).unwrap();
    let keys = KeyHistory::parse(&history)
        .unwrap()
        .followed_from(&old)
        .unwrap();
    for (note, size) in [(&before, 3), (&after, 7)] {
        assert_eq!(
            Checkpoint::open(note.as_bytes(), &keys).unwrap().head.size,
            size
        );
    }
    // As a crash between the history and the key would leave it.
    let (key, next) = (world.path("log-key"), world.path("log-key.next"));
    let new_key = fs::read(&key).unwrap();
    rotate_key(&world.log, &world.options()).unwrap();
    fs::copy(&key, &next).unwrap();
    fs::write(&key, &new_key).unwrap();
    assert_ne!(*world.open().keys().signer().verifier(), new);
    assert!(!next.exists());
    // And before the history.
    let newest = fs::read(&key).unwrap();
    fs::copy(&key, &next).unwrap();
    fs::write(&next, &new_key).unwrap();
    world.open();
    assert!(!next.exists() && fs::read(&key).unwrap() == newest);
}

#[test]
fn a_key_that_is_missing_spoilt_or_another_is_refused() {
    let world = World::with(3);
    world.open();
    let key = fs::read(world.path("log-key")).unwrap();
    let refused = |options: &Options| match world.open_with(options) {
        Err(OpenError::Key(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    };
    let usual = world.options();
    fs::remove_file(world.path("log-key")).unwrap();
    assert!(matches!(refused(&usual), KeyError::Lost(_)));
    fs::write(world.path("log-key"), "PRIVATE+KEY+spoilt").unwrap();
    assert!(matches!(refused(&usual), KeyError::Key { .. }));
    let other = World::with(3);
    other.open();
    fs::copy(other.path("log-key"), world.path("log-key")).unwrap();
    assert!(matches!(refused(&usual), KeyError::OtherKey { .. }));
    fs::write(world.path("log-key"), &key).unwrap();
    let renamed = Options {
        origin: Some("example.com/other".to_owned()),
        ..world.options()
    };
    assert!(matches!(refused(&renamed), KeyError::OtherOrigin { .. }));
    let elsewhere = Options {
        key: Some(world.path("nowhere")),
        ..world.options()
    };
    assert!(matches!(refused(&elsewhere), KeyError::Missing(_)));
    fs::rename(world.path("log-key"), world.path("elsewhere")).unwrap();
    let elsewhere = Options {
        key: Some(world.path("elsewhere")),
        ..world.options()
    };
    world.open_with(&elsewhere).unwrap();
    fs::write(world.path("log-keys"), "spoilt").unwrap();
    assert!(matches!(refused(&elsewhere), KeyError::History { .. }));
}
