//! A fuzz target for the rule parser: bytes that resemble rules, mutated. Whatever they are, the
//! parser answers; what it accepts stays within the limits, reads back as itself and can be asked.
//!
//! `MUSTER_FUZZ_SEED` repeats a run, `MUSTER_FUZZ_RUNS` makes it longer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value};
use types::filter::{Facts, Group, GroupOperator, RuleLimits, Set};
use types::{AttributePath, Timestamp, parse_json};

const LIMITS: RuleLimits = RuleLimits {
    levels_max: 16,
    leaves_max: 256,
    paths_max: 32,
    path_bytes_max: 512,
    operand_bytes_max: 1_024,
};

const CORPUS: [&str; 8] = [
    r#"{"operator":"AND","filters":[{"operator":"EQ","path":"plan","value":"pro"},{"operator":"NOT","filters":[{"operator":"GT","path":"custom.seats","value":"1e3"}]}]}"#,
    r#"{"operator":"OR","rules":[{"operator":"INCLUDES","path":"tags","value":["a",1,true]},{"operator":"OMIT","path":"[\"a.b\"].c","value":"x"}]}"#,
    r#"{"operator":"WITHIN_LAST","path":"seen","value":"P1Y2M3W4DT5H6M7.5S"}"#,
    r#"{"filters":[{"operator":"IS_BEFORE","path":"profile.born","value":"1969-12-31T23:59:60.5+01:00","filters":[]}]}"#,
    r#"{"operator":"MEMBER_OF","path":"list","value":"a.*.b"}"#,
    r#"{"operator":"MEMBER_OF","path":"audience","value":"a\u0000b"}"#,
    r#"{"operator":"EXISTS","path":"a","value":false,"rules":null}"#,
    r#"{"operator":"LTE","path":"n","value":-0.00000000000000000000001e9223372036854775807}"#,
];

const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "-1",
    "1e999999999999",
    "\"operator\":",
    "\"filters\":[",
    "\"rules\":[",
    "\"path\":",
    "\"value\":",
    "\"NOT\"",
    "\"AND\"",
    "\"EQ\"",
    "\"P1M\"",
    "\"2026-02-30\"",
    "\u{10ffff}",
    "[\"",
];

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

struct Somebody(Map<String, Value>);

impl Facts for Somebody {
    fn attribute(&self, path: &AttributePath) -> Option<&Value> {
        path.resolve(&self.0)
    }

    fn is_member(&self, set: &Set) -> bool {
        set.id().len().is_multiple_of(2)
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_769_817_600_000_000_000)
    }
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let place = random.below(bytes.len() + 1);
    match random.below(5) {
        0 if place < bytes.len() => bytes[place] = u8::try_from(random.below(256)).unwrap(),
        1 if place < bytes.len() => {
            bytes.remove(place);
        }
        2 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(place..place, piece.bytes());
        }
        3 => {
            // A part of the same text again, so that nesting grows.
            let end = place + random.below(bytes.len() - place + 1);
            let part = bytes[place..end].to_vec();
            let place = random.below(bytes.len() + 1);
            bytes.splice(place..place, part);
        }
        _ => {
            let other = CORPUS[random.below(CORPUS.len())];
            bytes.splice(place..place, other.bytes());
        }
    }
    bytes.truncate(64 * 1024);
}

#[test]
fn no_bytes_make_the_rule_parser_do_anything_but_answer() {
    let number = |name, otherwise| {
        std::env::var(name).map_or(otherwise, |text| text.parse::<u64>().unwrap())
    };
    // The standard library's hashing begins somewhere else in every process.
    let seed = number("MUSTER_FUZZ_SEED", RandomState::new().hash_one(0));
    println!("rules: MUSTER_FUZZ_SEED={seed}");
    let mut random = Random(seed);
    let profile =
        br#"{"plan":"pro","custom":{"seats":7},"tags":["a",1],"seen":1769817600,"n":1e3}"#;
    let who = Somebody(parse_json(profile).unwrap().as_object().unwrap().clone());
    let (mut read, mut accepted) = (0, 0);
    for _ in 0..number("MUSTER_FUZZ_RUNS", 30_000) {
        let mut bytes = CORPUS[random.below(CORPUS.len())].as_bytes().to_vec();
        for _ in 0..random.below(6) {
            mutate(&mut random, &mut bytes);
        }
        let Ok(value) = parse_json(&bytes) else {
            continue;
        };
        read += 1;
        let operator = [None, Some(GroupOperator::And), Some(GroupOperator::Or)][random.below(3)];
        match Group::parse(&value, operator, LIMITS) {
            Err(refused) => {
                let pointer = &refused.pointer;
                assert!(pointer.is_empty() || pointer.starts_with('/'), "{refused}");
            }
            Ok(rule) => {
                accepted += 1;
                assert!(rule.leaves().len() <= LIMITS.leaves_max);
                let again = Group::parse(&rule.to_value(), None, LIMITS).unwrap();
                assert_eq!(again, rule);
                assert_eq!(again.matches(&who), rule.matches(&who));
                assert!(!rule.reason(&who).is_empty());
                assert!(rule.explain(&who).is_object());
            }
        }
    }
    println!("rules: {read} texts were JSON, {accepted} of them rules");
    assert!(accepted > 0);
}
