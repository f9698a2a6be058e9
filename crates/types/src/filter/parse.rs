use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    Condition, Direction, Group, GroupOperator, Membership, Moment, NumberOrder, Operand, Operator,
    Rule, Scalar, Set, Test, TimeOrder, Window,
};
use crate::{AttributePath, AudienceId, Decimal, ListPattern, TenantId};

/// How large a rule may be.
#[derive(Clone, Copy, Debug)]
pub struct RuleLimits {
    /// Groups and `NOT` within each other, the top included.
    pub levels_max: usize,
    /// Leaves in all; of a list of operands every one counts, and a pattern of lists as sixteen.
    pub leaves_max: usize,
    /// Different paths; each takes memory for everybody.
    pub paths_max: usize,
    pub path_bytes_max: usize,
    pub operand_bytes_max: usize,
}

impl RuleLimits {
    /// For rules that were accepted once, whatever the limits were then.
    pub const STORED: Self = Self {
        levels_max: 64,
        leaves_max: usize::MAX,
        paths_max: usize::MAX,
        path_bytes_max: usize::MAX,
        operand_bytes_max: usize::MAX,
    };
}

/// What makes a rule none, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} must be {expected}")]
pub struct InvalidRule {
    /// JSON pointer from the top of the rule.
    pub pointer: String,
    pub expected: String,
}

/// What a pattern of lists weighs: it looks at every list.
const PATTERN_LEAVES: usize = 16;

const NOT: &str = "NOT";
const MEMBER_OF: &str = "MEMBER_OF";
/// What `MEMBER_OF` can ask about. The first two are other names of the third.
const SETS: [&str; 6] = [
    "account_id",
    "tenant_id",
    "tenant",
    "tenant_tree",
    "list",
    "audience",
];

impl Group {
    /// Reads a rule in any shape that was ever accepted: a group with `filters` or `rules`, or a
    /// single condition. `operator`, where given, is that of the top, whatever stands there.
    pub fn parse(
        rule: &Value,
        operator: Option<GroupOperator>,
        limits: RuleLimits,
    ) -> Result<Self, InvalidRule> {
        let mut reading = Reading {
            limits,
            leaves_left: limits.leaves_max,
            paths: HashSet::new(),
        };
        let object = object(rule, "")?;
        let inner = text(object, "operator", "")?;
        let is_group = inner.is_none_or(|inner| GroupOperator::parse(inner).is_some());
        if let Some(operator) = operator
            && is_group
            && kind(object, "")? == Kind::Group
        {
            // The group may leave out what is given beside it.
            let rules = reading.rules(object, "", limits.levels_max)?;
            return Ok(Self { operator, rules });
        }
        // What is no group becomes one, which is a level more.
        let levels = limits.levels_max - usize::from(!is_group);
        Ok(match reading.rule(rule, "", levels)? {
            Rule::Group(group) => group,
            rule @ (Rule::Not(_) | Rule::Attribute(_) | Rule::Member(_)) => Self {
                operator: operator.unwrap_or(GroupOperator::And),
                rules: vec![rule],
            },
        })
    }
}

struct Reading {
    limits: RuleLimits,
    leaves_left: usize,
    paths: HashSet<String>,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Group,
    Condition,
}

impl Reading {
    fn rule(
        &mut self,
        rule: &Value,
        pointer: &str,
        levels_left: usize,
    ) -> Result<Rule, InvalidRule> {
        let object = object(rule, pointer)?;
        match kind(object, pointer)? {
            Kind::Condition => self.leaf(object, pointer),
            Kind::Group => self.group(object, pointer, levels_left),
        }
    }

    fn group(
        &mut self,
        object: &Map<String, Value>,
        pointer: &str,
        levels_left: usize,
    ) -> Result<Rule, InvalidRule> {
        let operator = text(object, "operator", pointer)?;
        let known = |name: &str| name == NOT || GroupOperator::parse(name).is_some();
        if let Some(name) = operator.filter(|name| !known(name)) {
            // An operator of a leaf is no mistake in itself: what it asks about is missing.
            if name == MEMBER_OF || Operator::parse(name).is_some() {
                return Err(invalid(
                    pointer,
                    "path",
                    "given: the attribute that the operator is about",
                ));
            }
            return Err(invalid(pointer, "operator", &all_operators()));
        }
        let mut rules = self.rules(object, pointer, levels_left)?;
        match operator {
            Some(NOT) => match (rules.pop(), rules.is_empty()) {
                (Some(rule), true) => Ok(Rule::Not(Box::new(rule))),
                _ => Err(invalid(pointer, "filters", "exactly one rule under NOT")),
            },
            None if rules.len() > 1 => Err(invalid(
                pointer,
                "operator",
                "AND or OR, for there are several rules",
            )),
            named => {
                let operator = named.and_then(GroupOperator::parse);
                let operator = operator.unwrap_or(GroupOperator::And);
                Ok(Rule::Group(Group { operator, rules }))
            }
        }
    }

    fn rules(
        &mut self,
        object: &Map<String, Value>,
        pointer: &str,
        levels_left: usize,
    ) -> Result<Vec<Rule>, InvalidRule> {
        let Some(levels_left) = levels_left.checked_sub(1) else {
            let expected = format!("nested at most {} levels deep", self.limits.levels_max);
            return Err(InvalidRule {
                pointer: pointer.to_owned(),
                expected,
            });
        };
        let (name, rules) = rules_of(object);
        match rules {
            Some(Value::Array(rules)) if !rules.is_empty() => rules
                .iter()
                .enumerate()
                .map(|(place, rule)| {
                    self.rule(rule, &format!("{pointer}/{name}/{place}"), levels_left)
                })
                .collect(),
            _ => Err(invalid(pointer, name, "an array of at least one rule")),
        }
    }

    fn leaf(&mut self, object: &Map<String, Value>, pointer: &str) -> Result<Rule, InvalidRule> {
        let name = text(object, "operator", pointer)?
            .ok_or_else(|| invalid(pointer, "operator", &all_operators()))?;
        if name != MEMBER_OF && Operator::parse(name).is_none() {
            return Err(invalid(pointer, "operator", &all_operators()));
        }
        let path = text(object, "path", pointer)?
            .ok_or_else(|| invalid(pointer, "path", "given: what the operator is about"))?;
        if path.len() > self.limits.path_bytes_max {
            let expected = format!("at most {} bytes long", self.limits.path_bytes_max);
            return Err(invalid(pointer, "path", &expected));
        }
        let operand = self.operand(object, pointer)?;
        let Some(operator) = Operator::parse(name) else {
            let rule = membership(path, operand, pointer)?;
            if let Rule::Member(Membership {
                set: Set::List(pattern),
                ..
            }) = &rule
                && pattern.exactly().is_none()
            {
                self.weigh(PATTERN_LEAVES - 1, pointer)?;
            }
            return Ok(rule);
        };
        self.paths.insert(path.to_owned());
        if self.paths.len() > self.limits.paths_max {
            let expected = format!("one of at most {} paths", self.limits.paths_max);
            return Err(invalid(pointer, "path", &expected));
        }
        condition(operator, path, operand, pointer)
    }

    fn operand(
        &mut self,
        object: &Map<String, Value>,
        pointer: &str,
    ) -> Result<Operand, InvalidRule> {
        let expected = "a string, a number or a boolean";
        let operand = match object.get("value") {
            Some(Value::Array(values)) => {
                let texts = values.iter().enumerate().map(|(place, value)| {
                    let at = format!("value/{place}");
                    let text = scalar(value).ok_or_else(|| invalid(pointer, &at, expected))?;
                    self.bounded(text, pointer, &at)
                });
                Operand::AnyOf(texts.collect::<Result<_, _>>()?)
            }
            value => {
                let text = value.and_then(scalar);
                let text = text.ok_or_else(|| invalid(pointer, "value", expected))?;
                Operand::One(self.bounded(text, pointer, "value")?)
            }
        };
        self.weigh(
            match &operand {
                Operand::One(_) => 1,
                Operand::AnyOf(texts) => texts.len(),
            },
            &match &operand {
                Operand::One(_) => pointer.to_owned(),
                Operand::AnyOf(_) => format!("{pointer}/value"),
            },
        )?;
        Ok(operand)
    }

    fn weigh(&mut self, leaves: usize, pointer: &str) -> Result<(), InvalidRule> {
        let left = self.leaves_left.checked_sub(leaves);
        self.leaves_left = left.ok_or_else(|| InvalidRule {
            pointer: pointer.to_owned(),
            expected: format!(
                "one of at most {} leaves in the whole rule",
                self.limits.leaves_max
            ),
        })?;
        Ok(())
    }

    fn bounded(&self, text: String, pointer: &str, member: &str) -> Result<String, InvalidRule> {
        if text.len() > self.limits.operand_bytes_max {
            let expected = format!("at most {} bytes long", self.limits.operand_bytes_max);
            return Err(invalid(pointer, member, &expected));
        }
        Ok(text)
    }
}

fn invalid(pointer: &str, member: &str, expected: &str) -> InvalidRule {
    InvalidRule {
        pointer: format!("{pointer}/{member}"),
        expected: expected.to_owned(),
    }
}

fn object<'a>(rule: &'a Value, pointer: &str) -> Result<&'a Map<String, Value>, InvalidRule> {
    rule.as_object().ok_or_else(|| InvalidRule {
        pointer: pointer.to_owned(),
        expected: "an object: a group with filters, or a condition with path and value".to_owned(),
    })
}

/// The rules of a group, and the name that the caller gives them.
fn rules_of(object: &Map<String, Value>) -> (&'static str, Option<&Value>) {
    let given = |name| object.get(name).filter(|rules| !rules.is_null());
    match (given("filters"), given("rules")) {
        (None, Some(rules)) => ("rules", Some(rules)),
        (rules, _) => ("filters", rules),
    }
}

/// A condition has a path or a value; an empty array of filters beside them means nothing.
fn kind(object: &Map<String, Value>, pointer: &str) -> Result<Kind, InvalidRule> {
    let given = |name| object.get(name).is_some_and(|value| !value.is_null());
    if !given("path") && !given("value") {
        if given("filters") && given("rules") {
            let expected = "left out where filters are given: they are the same under two names";
            return Err(invalid(pointer, "rules", expected));
        }
        return Ok(Kind::Group);
    }
    match rules_of(object) {
        (_, None) => Ok(Kind::Condition),
        (_, Some(Value::Array(rules))) if rules.is_empty() => Ok(Kind::Condition),
        (name, Some(_)) => Err(invalid(
            pointer,
            name,
            "left out of a condition: a rule is a group or a condition, not both",
        )),
    }
}

fn text<'a>(
    object: &'a Map<String, Value>,
    member: &str,
    pointer: &str,
) -> Result<Option<&'a str>, InvalidRule> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(invalid(pointer, member, "a string"))
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn all_operators() -> String {
    let leaves = Operator::NAMES.join(", ");
    let groups = GroupOperator::NAMES.join(", ");
    format!("one of {groups}, {NOT} for a group, or {leaves}, {MEMBER_OF} for a condition")
}

fn membership(path: &str, operand: Operand, pointer: &str) -> Result<Rule, InvalidRule> {
    let Some(path) = SETS.into_iter().find(|name| *name == path) else {
        return Err(invalid(
            pointer,
            "path",
            &format!("one of {} under MEMBER_OF", SETS.join(", ")),
        ));
    };
    let Operand::One(id) = operand else {
        return Err(invalid(pointer, "value", "one id, not an array"));
    };
    let tenant = TenantId::parse(&id).map_err(|error| error.to_string());
    let set = match path {
        "list" => ListPattern::parse(&id)
            .map(Set::List)
            .map_err(|error| error.to_string()),
        "audience" => AudienceId::parse(&id)
            .map(Set::Audience)
            .map_err(|error| error.to_string()),
        "tenant_tree" => tenant.map(Set::TenantTree),
        _ => tenant.map(Set::Tenant),
    };
    let set = set.map_err(|error| invalid(pointer, "value", &format!("valid: {error}")))?;
    Ok(Rule::Member(Membership { path, set }))
}

fn condition(
    operator: Operator,
    path: &str,
    operand: Operand,
    pointer: &str,
) -> Result<Rule, InvalidRule> {
    let path = AttributePath::parse(path)
        .map_err(|error| invalid(pointer, "path", &format!("valid: {error}")))?;
    let mut negated = matches!(operator, Operator::NotEqual | Operator::Omits);
    let tests = match &operand {
        Operand::AnyOf(texts) if matches!(operator, Operator::Includes | Operator::Omits) => {
            if texts.is_empty() {
                return Err(invalid(pointer, "value", "an array of at least one value"));
            }
            texts
                .iter()
                .map(|text| Test::Includes(Scalar::new(text)))
                .collect()
        }
        Operand::AnyOf(_) => {
            let expected = format!("one value: {} takes no array", operator.name());
            return Err(invalid(pointer, "value", &expected));
        }
        Operand::One(text) => {
            if operator == Operator::Exists {
                negated = match text.as_str() {
                    "true" => false,
                    "false" => true,
                    _ => return Err(invalid(pointer, "value", "true or false")),
                };
            }
            vec![test(operator, text).map_err(|expected| invalid(pointer, "value", expected))?]
        }
    };
    Ok(Rule::Attribute(Condition {
        operator,
        path,
        operand,
        tests,
        negated,
    }))
}

fn test(operator: Operator, operand: &str) -> Result<Test, &'static str> {
    let number = |order| {
        let operand = Decimal::parse(operand).ok_or("a number, such as 100 or 1.5")?;
        Ok(Test::Number(order, operand))
    };
    let time = |order| {
        let operand = Moment::parse(operand)
            .ok_or("a time: RFC 3339, a date such as 2026-01-31, or seconds since 1970")?;
        Ok(Test::Time(order, operand))
    };
    let within = |direction| {
        let window = Window::parse(operand)
            .map_err(|_| "an ISO 8601 duration such as P7D or PT12H, longer than nothing, at most 1,000 years")?;
        Ok(Test::Within(direction, window))
    };
    let owned = || operand.to_owned();
    match operator {
        Operator::Equal | Operator::NotEqual => Ok(Test::Equals(Scalar::new(operand))),
        Operator::Greater => number(NumberOrder::Greater),
        Operator::GreaterOrEqual => number(NumberOrder::GreaterOrEqual),
        Operator::Less => number(NumberOrder::Less),
        Operator::LessOrEqual => number(NumberOrder::LessOrEqual),
        Operator::Includes | Operator::Omits => Ok(Test::Includes(Scalar::new(operand))),
        Operator::Contains => Ok(Test::Contains(owned())),
        Operator::StartsWith => Ok(Test::StartsWith(owned())),
        Operator::EndsWith => Ok(Test::EndsWith(owned())),
        Operator::Before => time(TimeOrder::Before),
        Operator::After => time(TimeOrder::After),
        Operator::WithinLast => within(Direction::Last),
        Operator::WithinNext => within(Direction::Next),
        Operator::Exists => Ok(Test::Exists),
    }
}
