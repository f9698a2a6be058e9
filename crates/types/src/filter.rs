//! The rule of an audience as a typed tree, and the one definition of what it means.
//!
//! Two-valued: a leaf is true or false, whatever the profile holds. What an operator cannot read
//! does not match; `NEQ` and `OMIT` are the negations of `EQ` and `INCLUDES`, so they are true then.

mod condition;
mod moment;
mod parse;
mod window;

pub use condition::{
    Condition, Direction, NumberOrder, Operand, Operator, Scalar, Stored, Test, TimeOrder,
};
pub use moment::Moment;
pub use parse::{InvalidRule, RuleLimits};
use serde_json::{Map, Value, json};
pub use window::{InvalidWindow, Window};

use crate::{AttributePath, AudienceId, ListPattern, TenantId, Timestamp};

/// Rules that hold together: all of them, or any of them. The top of every rule is a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub operator: GroupOperator,
    /// At least one.
    pub rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOperator {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Group(Group),
    Not(Box<Rule>),
    Attribute(Condition),
    Member(Membership),
}

/// `MEMBER_OF`: whether the person is in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The name that the caller gave the kind of set: `account_id` is another name of `tenant`.
    pub path: &'static str,
    pub set: Set,
}

/// A set of people that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    Tenant(TenantId),
    /// The tenant and all its descendants.
    TenantTree(TenantId),
    /// Every live list that the pattern matches; a list id matches itself.
    List(ListPattern),
    Audience(AudienceId),
}

/// What a rule asks about one person.
pub trait Facts {
    /// The value at the path in the stored profile.
    fn attribute(&self, path: &AttributePath) -> Option<&Value>;

    fn is_member(&self, set: &Set) -> bool;

    /// The present of windows: the time of the last event.
    fn now(&self) -> Timestamp;
}

impl GroupOperator {
    pub const NAMES: [&str; 2] = ["AND", "OR"];

    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "AND" => Some(Self::And),
            "OR" => Some(Self::Or),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
        }
    }
}

impl Group {
    /// Whether somebody with a stored profile is in the audience. This is the definition; whatever
    /// is faster has to agree with it.
    pub fn matches(&self, facts: &impl Facts) -> bool {
        match self.operator {
            GroupOperator::And => self.rules.iter().all(|rule| rule.matches(facts)),
            GroupOperator::Or => self.rules.iter().any(|rule| rule.matches(facts)),
        }
    }

    /// The leaves because of which the outcome is what it is, as Courier writes reasons:
    /// `EQ('title', 'Engineer') => true`, joined by `, `.
    pub fn reason(&self, facts: &impl Facts) -> String {
        let mut reasons = Vec::new();
        reasons_of_group(self, self.matches(facts), facts, &mut reasons);
        join_reasons(reasons)
    }

    /// Every leaf, from left to right.
    pub fn leaves(&self) -> Vec<&Rule> {
        fn visit<'a>(rule: &'a Rule, leaves: &mut Vec<&'a Rule>) {
            match rule {
                Rule::Group(group) => group.rules.iter().for_each(|rule| visit(rule, leaves)),
                Rule::Not(rule) => visit(rule, leaves),
                Rule::Attribute(_) | Rule::Member(_) => leaves.push(rule),
            }
        }
        let mut leaves = Vec::new();
        self.rules.iter().for_each(|rule| visit(rule, &mut leaves));
        leaves
    }

    /// The sets that the rule asks about.
    pub fn sets(&self) -> impl Iterator<Item = &Set> {
        self.leaves().into_iter().filter_map(|leaf| match leaf {
            Rule::Member(membership) => Some(&membership.set),
            Rule::Group(_) | Rule::Not(_) | Rule::Attribute(_) => None,
        })
    }

    /// The rule in the current shape of the API; [`Group::parse`] reads it back.
    pub fn to_value(&self) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(Rule::to_value).collect();
        json!({"operator": self.operator.name(), "filters": rules})
    }

    /// Every leaf with what it found and whether it is true, in the shape of the rule.
    pub fn explain(&self, facts: &impl Facts) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(|rule| rule.explain(facts)).collect();
        json!({"operator": self.operator.name(), "result": self.matches(facts), "filters": rules})
    }
}

impl Rule {
    pub fn matches(&self, facts: &impl Facts) -> bool {
        match self {
            Self::Group(group) => group.matches(facts),
            Self::Not(rule) => !rule.matches(facts),
            Self::Attribute(condition) => {
                condition.accepts(facts.attribute(&condition.path), facts.now())
            }
            Self::Member(membership) => facts.is_member(&membership.set),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Group(group) => group.to_value(),
            Self::Not(rule) => json!({"operator": "NOT", "filters": [rule.to_value()]}),
            Self::Attribute(condition) => Value::Object(condition.to_object()),
            Self::Member(membership) => Value::Object(membership.to_object()),
        }
    }

    fn explain(&self, facts: &impl Facts) -> Value {
        let mut leaf = match self {
            Self::Group(group) => return group.explain(facts),
            Self::Not(rule) => {
                let inner = rule.explain(facts);
                return json!({"operator": "NOT", "result": self.matches(facts), "filters": [inner]});
            }
            Self::Attribute(condition) => {
                let stored = facts.attribute(&condition.path);
                explained(condition.to_object(), stored.cloned())
            }
            Self::Member(membership) => {
                let member = facts.is_member(&membership.set);
                explained(membership.to_object(), Some(member.into()))
            }
        };
        leaf.insert("result".to_owned(), self.matches(facts).into());
        Value::Object(leaf)
    }

    /// The leaf as Courier writes it in reasons; nothing for a group.
    pub fn label(&self) -> String {
        let quoted = quoted_short;
        match self {
            Self::Attribute(condition) => {
                let operand = match &condition.operand {
                    Operand::One(text) => quoted(text),
                    Operand::AnyOf(texts) => {
                        let told = texts.iter().take(OPERANDS_TOLD_MAX);
                        let mut told: Vec<String> = told.map(|text| quoted(text)).collect();
                        if texts.len() > OPERANDS_TOLD_MAX {
                            told.push("…".to_owned());
                        }
                        format!("[{}]", told.join(", "))
                    }
                };
                let path = quoted(condition.path.as_str());
                format!("{}({path}, {operand})", condition.operator.name())
            }
            Self::Member(membership) => {
                let (path, id) = (quoted(membership.path), quoted(&membership.set.id()));
                format!("MEMBER_OF({path}, {id})")
            }
            Self::Group(_) | Self::Not(_) => String::new(),
        }
    }
}

/// Of an array of operands, how many a reason tells.
const OPERANDS_TOLD_MAX: usize = 8;

/// A text as reasons quote it: a long one is cut.
pub fn quoted_short(text: &str) -> String {
    const CHARACTERS_MAX: usize = 128;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// A stored value larger than this is explained by its size, in bytes of JSON.
const EXPLAINED_BYTES_MAX: usize = 4_096;

/// A leaf names its operand `operand` where `value` is what is stored.
fn explained(mut leaf: Map<String, Value>, stored: Option<Value>) -> Map<String, Value> {
    let bytes = stored.as_ref().map_or(0, |stored| match stored {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => stored.to_string().len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    });
    let stored = stored.filter(|_| bytes <= EXPLAINED_BYTES_MAX);
    if bytes > EXPLAINED_BYTES_MAX {
        leaf.insert("value_bytes".to_owned(), bytes.into());
    }
    let operand = leaf.insert("value".to_owned(), stored.unwrap_or(Value::Null));
    leaf.insert("operand".to_owned(), operand.unwrap_or(Value::Null));
    leaf
}

/// Reasons as they are told: a few of them say enough.
pub fn join_reasons(mut reasons: Vec<String>) -> String {
    const REASONS_MAX: usize = 8;
    if reasons.len() > REASONS_MAX {
        let more = reasons.len() - REASONS_MAX;
        reasons.truncate(REASONS_MAX);
        reasons.push(format!("and {more} more"));
    }
    reasons.join(", ")
}

fn reasons_of_group(group: &Group, outcome: bool, facts: &impl Facts, into: &mut Vec<String>) {
    for rule in &group.rules {
        // In a conjunction that is false, and in a disjunction that is true, only those count that
        // make it so; in the other cases all are as the outcome is.
        if rule.matches(facts) == outcome {
            reasons_of(rule, outcome, facts, into);
        }
    }
}

fn reasons_of(rule: &Rule, outcome: bool, facts: &impl Facts, into: &mut Vec<String>) {
    match rule {
        Rule::Group(group) => reasons_of_group(group, outcome, facts, into),
        Rule::Not(rule) => reasons_of(rule, !outcome, facts, into),
        Rule::Attribute(_) | Rule::Member(_) => into.push(format!("{} => {outcome}", rule.label())),
    }
}

impl Membership {
    fn to_object(&self) -> Map<String, Value> {
        Map::from_iter([
            ("operator".to_owned(), "MEMBER_OF".into()),
            ("path".to_owned(), self.path.into()),
            ("value".to_owned(), self.set.id().into()),
        ])
    }
}

impl Set {
    /// What the caller calls it: an id or a pattern.
    pub fn id(&self) -> String {
        match self {
            Self::Tenant(tenant) | Self::TenantTree(tenant) => tenant.to_string(),
            Self::List(pattern) => pattern.to_string(),
            Self::Audience(audience) => audience.to_string(),
        }
    }

    /// `tenant`, `tenant_tree`, `list` or `audience`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::TenantTree(_) => "tenant_tree",
            Self::List(_) => "list",
            Self::Audience(_) => "audience",
        }
    }
}

#[cfg(test)]
mod tests;
