use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const LIMITS: RuleLimits = RuleLimits {
    levels_max: 4,
    leaves_max: 8,
    paths_max: 3,
    path_bytes_max: 64,
    operand_bytes_max: 64,
};

/// 2026-01-31T00:00:00Z.
const NOW: Timestamp = Timestamp(1_769_817_600_000_000_000);

struct Person {
    profile: Map<String, Value>,
    sets: BTreeSet<String>,
}

impl Facts for Person {
    fn attribute(&self, path: &AttributePath) -> Option<&Value> {
        path.resolve(&self.profile)
    }

    fn is_member(&self, set: &Set) -> bool {
        self.sets.contains(&format!("{} {}", set.kind(), set.id()))
    }

    fn now(&self) -> Timestamp {
        NOW
    }
}

fn person(profile: &Value) -> Person {
    Person {
        profile: profile.as_object().unwrap().clone(),
        sets: BTreeSet::from(["list news.a".to_owned(), "tenant acme".to_owned()]),
    }
}

fn parse(rule: &Value) -> Result<Group, InvalidRule> {
    Group::parse(rule, None, LIMITS)
}

/// The kinds of stored values, in the order of the columns of [`TABLE`].
fn kinds() -> [Option<Value>; 10] {
    let number = |text: &str| serde_json::from_str(text).unwrap();
    [
        None,
        Some(Value::Null),
        Some(json!("10")),
        Some(json!(10)),
        Some(number("100000000000000000000000000001")),
        Some(number("10.50")),
        Some(json!(true)),
        Some(json!(["10", 10, true, "2026-01-30"])),
        Some(json!({"10": 10})),
        Some(json!("2026-01-30")),
    ]
}

/// Every operator with an operand, against every kind of stored value: missing, null, string,
/// integer, big integer, decimal, boolean, array, object, date. docs/API.md has the same table.
const TABLE: &[(&str, &str, &str)] = &[
    ("EQ", "10", "..yy......"),
    ("EQ", "10.5", ".....y...."),
    ("EQ", "100000000000000000000000000001.0", "....y....."),
    ("EQ", "true", "......y..."),
    ("EQ", "2026-01-30", ".........y"),
    ("NEQ", "10", "yy..yyyyyy"),
    ("GT", "9.99", "..yyyy...."),
    ("GT", "10", "....yy...."),
    ("GT", "100000000000000000000000000000", "....y....."),
    ("GTE", "10", "..yyyy...."),
    ("LT", "10.5", "..yy......"),
    ("LTE", "10.5", "..yy.y...."),
    ("INCLUDES", "10", "..yy...y.."),
    ("INCLUDES", "0", "..y......y"),
    ("INCLUDES", "true", "......yy.."),
    ("OMIT", "10", "yy..yyy.yy"),
    ("CONTAINS", "1", "..y......y"),
    ("STARTS_WITH", "1", "..y......."),
    ("ENDS_WITH", "0", "..y......y"),
    ("IS_BEFORE", "2026-01-31", "..yy.....y"),
    ("IS_AFTER", "2026-01-01", ".........y"),
    ("WITHIN_LAST", "P7D", ".........y"),
    ("WITHIN_NEXT", "P7D", ".........."),
    ("EXISTS", "true", "..yyyyyyyy"),
    ("EXISTS", "false", "yy........"),
];

#[test]
fn every_operator_means_what_the_table_says() {
    for (operator, operand, expected) in TABLE {
        let rule = json!({"operator": operator, "path": "a", "value": operand});
        let rule = parse(&rule).unwrap();
        let outcome: String = kinds()
            .into_iter()
            .map(|stored| {
                let profile = stored.map_or_else(|| json!({}), |value| json!({"a": value}));
                let matches = rule.matches(&person(&profile));
                if matches { 'y' } else { '.' }
            })
            .collect();
        assert_eq!(outcome, *expected, "{operator} {operand}");
    }
    let tested: BTreeSet<&str> = TABLE.iter().map(|(operator, ..)| *operator).collect();
    let operators: BTreeSet<&str> = Operator::NAMES.iter().copied().collect();
    assert_eq!(tested, operators);
}

#[test]
fn the_table_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/API.md");
    let documented = std::fs::read_to_string(path).unwrap();
    for (operator, operand, expected) in TABLE {
        let cells: Vec<&str> = expected
            .chars()
            .map(|outcome| if outcome == 'y' { "yes" } else { "–" })
            .collect();
        let row = format!("| `{operator}` | `{operand}` | {} |", cells.join(" | "));
        assert!(documented.contains(&row), "docs/API.md lacks\n{row}");
    }
}

#[test]
fn groups_negations_and_memberships_combine() {
    let who = person(&json!({"plan": "pro", "custom": {"seats": 12}}));
    for (rule, expected) in [
        (
            json!({"operator": "AND", "filters": [
                {"operator": "EQ", "path": "plan", "value": "pro"},
                {"operator": "GT", "path": "custom.seats", "value": "9"},
            ]}),
            true,
        ),
        (
            json!({"operator": "OR", "filters": [
                {"operator": "EQ", "path": "plan", "value": "free"},
                {"operator": "NOT", "filters": [{"operator": "EXISTS", "path": "email", "value": true}]},
            ]}),
            true,
        ),
        (
            json!({"operator": "NOT", "filters": [{"operator": "MEMBER_OF", "path": "list", "value": "news.a"}]}),
            false,
        ),
        (
            json!({"operator": "MEMBER_OF", "path": "account_id", "value": "acme"}),
            true,
        ),
        (
            json!({"operator": "INCLUDES", "path": "plan", "value": ["x", "pr"]}),
            true,
        ),
        (
            json!({"operator": "OMIT", "path": "plan", "value": ["x", "pr"]}),
            false,
        ),
    ] {
        assert_eq!(parse(&rule).unwrap().matches(&who), expected, "{rule}");
    }
}

#[test]
fn every_shape_that_was_ever_accepted_is_answered_in_the_current_one() {
    let condition = json!({"operator": "EQ", "path": "a", "value": "1"});
    let current = json!({"operator": "AND", "filters": [condition]});
    for shape in [
        condition.clone(),
        current.clone(),
        json!({"filters": [condition]}),
        json!({"operator": "AND", "rules": [condition]}),
        json!({"operator": "AND", "filters": [{"operator": "EQ", "path": "a", "value": 1, "filters": []}]}),
        json!({"operator": null, "filters": [{"operator": "EQ", "path": "a", "value": "1", "rules": null}]}),
    ] {
        assert_eq!(parse(&shape).unwrap().to_value(), current, "{shape}");
    }
    let two = json!({"filters": [condition, condition]});
    let or = Group::parse(&two, Some(GroupOperator::Or), LIMITS).unwrap();
    assert_eq!(or.operator, GroupOperator::Or);
    let two = json!({"operator": "AND", "filters": [condition, condition]});
    let or = Group::parse(&two, Some(GroupOperator::Or), LIMITS).unwrap();
    assert_eq!(or.operator, GroupOperator::Or);
    let aliased =
        parse(&json!({"operator": "BEFORE", "path": "a", "value": "2026-01-01"})).unwrap();
    assert_eq!(aliased.to_value()["filters"][0]["operator"], "IS_BEFORE");
}

#[test]
fn what_is_no_rule_is_refused_with_the_place_in_it() {
    let leaf = || json!({"operator": "EQ", "path": "a", "value": "1"});
    let with = |operator: &str, value: Value| json!({"operator": "AND", "filters": [{"operator": operator, "path": "a", "value": value}]});
    let deep = |levels: usize| {
        (0..levels).fold(
            leaf(),
            |rule, _| json!({"operator": "AND", "filters": [rule]}),
        )
    };
    let not = |levels: usize| {
        (0..levels).fold(
            leaf(),
            |rule, _| json!({"operator": "NOT", "filters": [rule]}),
        )
    };
    let about = |path| json!({"operator": "EQ", "path": path, "value": "1"});
    let four_paths = ["a", "b", "c", "d"].map(about);
    for (rule, pointer) in [
        (json!(null), ""),
        (json!([]), ""),
        (json!({}), "/filters"),
        (json!({"operator": "AND", "filters": []}), "/filters"),
        (json!({"operator": "AND", "filters": {}}), "/filters"),
        (json!({"operator": "XOR", "filters": [leaf()]}), "/operator"),
        (json!({"operator": 7, "filters": [leaf()]}), "/operator"),
        (json!({"filters": [leaf(), leaf()]}), "/operator"),
        (
            json!({"operator": "NOT", "filters": [leaf(), leaf()]}),
            "/filters",
        ),
        (
            json!({"operator": "AND", "filters": [leaf(), 5]}),
            "/filters/1",
        ),
        (
            json!({"operator": "AND", "filters": [{"operator": "EQ", "path": "a", "value": "1", "filters": [leaf()]}]}),
            "/filters/0/filters",
        ),
        (with("eq", json!("1")), "/filters/0/operator"),
        (with("EQ", json!(null)), "/filters/0/value"),
        (with("EQ", json!({})), "/filters/0/value"),
        (with("EQ", json!(["1"])), "/filters/0/value"),
        (with("INCLUDES", json!([])), "/filters/0/value"),
        (with("INCLUDES", json!([[]])), "/filters/0/value/0"),
        (with("GT", json!("many")), "/filters/0/value"),
        (with("GT", json!(true)), "/filters/0/value"),
        (with("IS_AFTER", json!("soon")), "/filters/0/value"),
        (with("WITHIN_LAST", json!("7 days")), "/filters/0/value"),
        (with("EXISTS", json!("yes")), "/filters/0/value"),
        (with("EQ", json!("x".repeat(65))), "/filters/0/value"),
        (with("MEMBER_OF", json!("acme")), "/filters/0/path"),
        (
            json!({"operator": "MEMBER_OF", "path": "list", "value": "a..b"}),
            "/value",
        ),
        (
            json!({"operator": "MEMBER_OF", "path": "audience", "value": ["a"]}),
            "/value",
        ),
        (json!({"operator": "EQ", "path": "", "value": "1"}), "/path"),
        (json!({"operator": "EQ", "value": "1"}), "/path"),
        (json!({"operator": "EQ"}), "/path"),
        (json!({"path": "a", "value": "1"}), "/operator"),
        (
            json!({"operator": "EQ", "path": "x".repeat(65), "value": "1"}),
            "/path",
        ),
        (
            json!({"operator": "AND", "filters": [leaf()], "rules": [leaf()]}),
            "/rules",
        ),
        (
            json!({"operator": "MEMBER_OF", "path": "list", "value": "a.*"}),
            "",
        ),
        (
            json!({"operator": "OR", "filters": four_paths}),
            "/filters/3/path",
        ),
        (not(4), "/filters/0/filters/0/filters/0"),
        (deep(5), "/filters/0/filters/0/filters/0/filters/0"),
        (
            json!({"operator": "OR", "filters": vec![leaf(); 9]}),
            "/filters/8",
        ),
        (
            with(
                "INCLUDES",
                json!(["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
            ),
            "/filters/0/value",
        ),
    ] {
        let refused = parse(&rule).expect_err(&rule.to_string());
        assert_eq!(refused.pointer, pointer, "{rule}: {refused}");
    }
    assert!(parse(&deep(4)).is_ok());
    // What is answered can be sent again.
    let negated = parse(&not(3)).unwrap().to_value();
    assert_eq!(parse(&negated).unwrap().to_value(), negated);
    let beside = Group::parse(
        &json!({"operator": 5, "filters": [leaf()]}),
        Some(GroupOperator::And),
        LIMITS,
    );
    assert_eq!(beside.unwrap_err().pointer, "/operator");
}

#[test]
fn a_reason_names_the_leaves_that_decide() {
    let who = person(&json!({"title": "Engineer", "age": 30}));
    for (rule, expected) in [
        (
            json!({"operator": "EQ", "path": "title", "value": "Engineer"}),
            "EQ('title', 'Engineer') => true",
        ),
        (
            json!({"operator": "OR", "filters": [
                {"operator": "EQ", "path": "title", "value": "Cook"},
                {"operator": "GT", "path": "age", "value": 18},
                {"operator": "INCLUDES", "path": "title", "value": ["x", "Eng"]},
            ]}),
            "GT('age', '18') => true, INCLUDES('title', ['x', 'Eng']) => true",
        ),
        (
            json!({"operator": "NOT", "filters": [{"operator": "AND", "filters": [
                {"operator": "GT", "path": "age", "value": "18"},
                {"operator": "MEMBER_OF", "path": "list", "value": "other"},
            ]}]}),
            "MEMBER_OF('list', 'other') => false",
        ),
    ] {
        assert_eq!(parse(&rule).unwrap().reason(&who), expected, "{rule}");
    }
}

#[test]
fn an_explanation_shows_every_leaf_with_what_it_found() {
    let rule = json!({"operator": "AND", "filters": [
        {"operator": "GT", "path": "age", "value": "18"},
        {"operator": "NOT", "filters": [{"operator": "MEMBER_OF", "path": "tenant", "value": "acme"}]},
    ]});
    let explained = parse(&rule).unwrap().explain(&person(&json!({"age": 30})));
    let expected = json!({"operator": "AND", "result": false, "filters": [
        {"operator": "GT", "path": "age", "value": 30, "operand": "18", "result": true},
        {"operator": "NOT", "result": false, "filters": [
            {"operator": "MEMBER_OF", "path": "tenant", "value": true, "operand": "acme", "result": true},
        ]},
    ]});
    assert_eq!(explained, expected);
}

/// Something that resembles a rule, more often right than wrong.
fn any_rule() -> impl Strategy<Value = Value> {
    let operand = prop_oneof![
        "[a-z0-9.*-]{0,4}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(json!(["a", 1])),
        Just(json!("P7D")),
        Just(json!("2026-01-30")),
        Just(Value::Null),
    ];
    let names: Vec<&str> = Operator::NAMES
        .iter()
        .copied()
        .chain(["MEMBER_OF", "BEFORE", "eq", ""])
        .collect();
    let path = prop_oneof![
        Just("a"),
        Just("a.b"),
        Just("list"),
        Just("audience"),
        Just("[\"a\"]"),
        Just("")
    ];
    let leaf = (proptest::sample::select(names), path, operand).prop_map(
        |(operator, path, value)| json!({"operator": operator, "path": path, "value": value}),
    );
    leaf.prop_recursive(6, 24, 4, |inner| {
        let group = proptest::sample::select(vec!["AND", "OR", "NOT", "XOR"]);
        let name = proptest::sample::select(vec!["filters", "rules"]);
        (group, name, proptest::collection::vec(inner, 0..4)).prop_map(|(operator, name, rules)| {
            Value::Object(Map::from_iter([
                ("operator".to_owned(), operator.into()),
                (name.to_owned(), rules.into()),
            ]))
        })
    })
}

proptest! {
    #[test]
    fn what_is_accepted_reads_back_as_itself_and_means_the_same(rule in any_rule()) {
        if let Ok(parsed) = parse(&rule) {
            let shown = parsed.to_value();
            let again = parse(&shown).unwrap();
            prop_assert_eq!(&again, &parsed);
            prop_assert_eq!(again.to_value(), shown);
            let who = person(&json!({"a": {"b": [1, "a"]}, "list": "x"}));
            prop_assert_eq!(again.matches(&who), parsed.matches(&who));
            prop_assert!(!parsed.reason(&who).is_empty());
        }
    }
}
