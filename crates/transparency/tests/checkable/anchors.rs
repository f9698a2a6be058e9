use std::fs;

use transparency::{AnchorError, OpenError, Options, TransparencyLog};

use crate::world::World;

fn with_anchor(world: &World) -> Options {
    Options {
        anchors: vec![world.path("anchor")],
        ..world.options()
    }
}

/// The data directory of another log, with the keys of this one: as after a restore.
fn restored(world: &World, records: u32, kind: usize) -> World {
    let mut other = World::with(0);
    other.write_as(records, kind);
    for name in ["log-key", "log-keys", "anchor"] {
        fs::copy(world.path(name), other.path(name)).unwrap();
    }
    other
}

#[test]
fn a_log_that_was_cut_off_or_is_another_is_not_served() {
    let mut world = World::with(600);
    let options = with_anchor(&world);
    let log = world.open_with(&options).unwrap();
    world.write(10);
    log.checkpoint().unwrap();
    drop(log);
    let anchor = fs::read(world.path("anchor")).unwrap();

    let refused = |other: &World| {
        let refused = other
            .open_with(&with_anchor(other))
            .err()
            .map(|it| it.to_string());
        let compared = TransparencyLog::compare(&other.log, &with_anchor(other));
        assert_eq!(refused, compared.err().map(|it| it.to_string()));
        refused
    };
    // The same log, and one that has gone on from it.
    for records in [610, 611, 2_000] {
        assert_eq!(refused(&restored(&world, records, 0)), None);
    }
    for records in [0, 1, 512, 609] {
        let said = refused(&restored(&world, records, 0)).unwrap();
        assert!(said.contains("checkpoint of 610 records"), "{said}");
        assert!(
            said.contains(&format!("ends at position {records},")),
            "{said}"
        );
    }
    for records in [610, 700] {
        let said = refused(&restored(&world, records, 1)).unwrap();
        assert!(said.contains("first 610 records"), "{said}");
    }
    // Whoever has not even the keys is another log.
    let other = World::with(700);
    fs::write(other.path("anchor"), &anchor).unwrap();
    let said = other.open_with(&with_anchor(&other)).err();
    let is_other = matches!(said, Some(OpenError::Anchor(AnchorError::NotOurs { .. })));
    assert!(is_other, "{said:?}");
    for spoilt in [&anchor[1..], b"", b"something else"] {
        fs::write(world.path("anchor"), spoilt).unwrap();
        let said = world.open_with(&options).err();
        let is_other = matches!(said, Some(OpenError::Anchor(AnchorError::NotOurs { .. })));
        assert!(is_other, "{said:?}");
    }
}

#[test]
fn an_anchor_that_cannot_be_reached_stops_nobody() {
    let world = World::with(10);
    let options = Options {
        anchors: vec![world.path("not-mounted/anchor"), world.path("anchor")],
        ..world.options()
    };
    let log = world.open_with(&options).unwrap();
    assert_eq!(log.status().anchors_failing, 1);
    assert!(world.path("anchor").exists());
}

#[test]
fn what_was_published_from_here_counts_as_well_unless_it_is_spoilt() {
    let world = World::with(20);
    drop(world.open());
    let cut = restored_with_tiles(&world, 19);
    let said = cut.open_with(&cut.options()).err().unwrap().to_string();
    assert!(said.contains("checkpoint of 20 records"), "{said}");
    fs::write(cut.path("tiles/checkpoint"), "spoilt").unwrap();
    cut.open();
}

fn restored_with_tiles(world: &World, records: u32) -> World {
    fs::write(world.path("anchor"), "").unwrap();
    let other = restored(world, records, 0);
    fs::create_dir_all(other.tiles()).unwrap();
    let name = "tiles/checkpoint";
    fs::copy(world.path(name), other.path(name)).unwrap();
    other
}
