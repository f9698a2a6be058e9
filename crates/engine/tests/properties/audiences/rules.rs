use domain::limits::RULE_LIMITS;
use serde_json::{Map, Value, json};
use types::filter::{Group, Operator};

use super::world::{AUDIENCES, LISTS, TENANTS};
use crate::random::Random;

/// Paths of which some are exact keys, some descend, and some could be either.
const PATHS: [&str; 12] = [
    "plan",
    "age",
    "tags",
    "seen",
    "custom.city",
    "profile.plan",
    "custom.a.b",
    r#"custom["a.b"]"#,
    "missing",
    "$events.order.count",
    "$events.order.last_at",
    r#"$events["order.paid"].first_at"#,
];

/// Values that look alike in some way, so that operators disagree about them.
fn any_value(random: &mut Random) -> Value {
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    random.pick(&[
        json!("pro"),
        json!("free"),
        json!("profit"),
        json!("10"),
        json!(10),
        json!(11),
        number("10.0"),
        number("1.1e1"),
        number("100000000000000000000000000001"),
        json!(9.5),
        json!(true),
        json!("true"),
        json!(false),
        json!(["pro", 10, "pro"]),
        json!(["free", true]),
        json!([]),
        json!({"b": "pro", "city": 10}),
        json!({"a": {"b": 10}}),
        json!("2026-01-30"),
        json!("2026-02-03T12:00:00Z"),
        json!("2026-02-28T00:00:00+02:00"),
        json!(1_769_990_400),
        json!(1_770_163_200_000_i64),
        json!("soon"),
    ])
}

/// Some members of a profile; in a merge `null` among them.
pub(crate) fn any_profile(random: &mut Random, merging: bool, now: u64) -> Map<String, Value> {
    let mut profile = Map::new();
    for _ in 0..random.between(1, 3) {
        let value = if merging && random.percent(15) {
            Value::Null
        } else {
            any_value(random)
        };
        let (key, value) = match random.below(12) {
            // About the present, a little earlier or later, as a client's clock has it.
            10.. => {
                let seconds = now / 1_000_000_000 + random.below(30) as u64;
                let milliseconds = (seconds - 15) * 1_000 + random.below(1_000) as u64;
                (
                    "seen",
                    random.pick(&[json!(milliseconds), json!(milliseconds / 1_000)]),
                )
            }
            0..7 => (random.pick(&["plan", "age", "tags", "seen"]), value),
            7 => ("custom", json!({"city": value})),
            8 => ("custom", json!({"a": {"b": value}})),
            _ => {
                let key = random.pick(&["custom", "profile", "custom.city", "unused"]);
                (key, json!({"a.b": value}))
            }
        };
        profile.insert(key.to_owned(), value);
    }
    profile
}

/// Nested, negated, windowed, about lists and other audiences.
pub(crate) fn any_rule(random: &mut Random) -> Group {
    let rule = any_group(random, 3);
    Group::parse(&rule, None, RULE_LIMITS).unwrap_or_else(|error| panic!("{rule}: {error}"))
}

fn any_group(random: &mut Random, levels: usize) -> Value {
    let operator = random.pick(&["AND", "OR", "AND", "OR", "NOT"]);
    let rules = if operator == "NOT" {
        1
    } else {
        random.between(1, 3)
    };
    let rules: Vec<Value> = (0..rules)
        .map(|_| {
            if levels > 1 && random.percent(25) {
                any_group(random, levels - 1)
            } else {
                any_leaf(random)
            }
        })
        .collect();
    json!({"operator": operator, "filters": rules})
}

fn any_leaf(random: &mut Random) -> Value {
    if random.percent(25) {
        let (path, value) = match random.below(7) {
            0 => ("list", random.pick(&LISTS).to_owned()),
            1 => ("list", random.pick(&["*", "a.*", "a.**"]).to_owned()),
            2 => ("tenant", format!("t{}", random.below(TENANTS))),
            3 | 4 => ("tenant_tree", format!("t{}", random.below(TENANTS))),
            _ => ("audience", format!("audience {}", random.below(AUDIENCES))),
        };
        return json!({"operator": "MEMBER_OF", "path": path, "value": value});
    }
    let operator = random.pick(Operator::ALL);
    let text = ["pro", "free", "10", "10.0", "true", "o", "2026-01-30", ""];
    let value = match operator {
        Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => {
            json!(random.pick(&["9.5", "10", "10.00", "11", "1e28", "2026"]))
        }
        Operator::Before | Operator::After => {
            json!(random.pick(&["2026-01-30", "1769990400", "2026-02-03T12:00:00.000Z"]))
        }
        Operator::WithinLast | Operator::WithinNext => {
            json!(random.pick(&["P7D", "PT10S", "PT0.2S", "P1M", "P1M3D", "P1Y", "PT36H"]))
        }
        Operator::Exists => json!(random.pick(&["true", "false"])),
        Operator::Includes | Operator::Omits if random.percent(50) => {
            json!([random.pick(&text), random.pick(&text)])
        }
        Operator::Equal
        | Operator::NotEqual
        | Operator::Includes
        | Operator::Omits
        | Operator::Contains
        | Operator::StartsWith
        | Operator::EndsWith => json!(random.pick(&text)),
    };
    json!({"operator": operator.name(), "path": random.pick(&PATHS), "value": value})
}
