use std::collections::VecDeque;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::filter::Group;
use types::{AudienceId, JsonDocument, Position, Timestamp};

use super::joined::{Cohort, Occasion};
use super::predicates::PredicateId;

/// One audience: its rule, who is in it, and since when.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) id: AudienceId,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) rule: Option<DefinedRule>,
    pub(super) created: Occasion,
    pub(super) updated_at: Timestamp,
    pub(super) versions: Versions,
    /// What its rules before this one asked, as reasons write it, the latest last: until which
    /// position, and what.
    pub(super) former_labels: VecDeque<(Position, Vec<Arc<str>>)>,
    pub(super) members: RoaringBitmap,
    /// Who joined in large numbers after the beginning.
    pub(super) cohorts: Vec<Cohort>,
    /// Higher than that of every audience that the rule asks about.
    pub(super) rank: u32,
    /// The predicate by which other rules ask about this audience.
    pub(super) as_set: Option<PredicateId>,
}

/// How many rules before the present one are remembered by what they asked.
pub(super) const FORMER_RULES_MAX: usize = 16;
/// How many deleted audiences with one id are remembered.
pub(super) const FORMER_AUDIENCES_MAX: usize = 8;

/// From which position on which version was in force, ascending.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Versions(pub(super) Vec<(Position, u32)>);

/// An audience that was deleted. Whoever follows the changes of its id has to hear who left.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Former {
    pub(super) number: u32,
    pub(super) created: Position,
    pub(super) versions: Versions,
}

#[derive(Debug)]
pub(super) struct DefinedRule {
    pub(super) document: JsonDocument,
    pub(super) group: Arc<Group>,
    pub(super) expression: Expression,
    /// Each once.
    pub(super) leaves: Vec<PredicateId>,
    /// A leaf without which the rule is false, and which is true of few.
    pub(super) access: Option<PredicateId>,
}

/// A rule over predicates.
#[derive(Debug)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Is(PredicateId),
}

impl Expression {
    /// All of the parts; a single one stands for itself.
    pub(super) fn all(mut parts: Vec<Self>) -> Self {
        match (parts.pop(), parts.is_empty()) {
            (Some(one), true) => one,
            (last, _) => {
                parts.extend(last);
                Self::All(parts)
            }
        }
    }

    /// Any of the parts; a single one stands for itself.
    pub(super) fn any(mut parts: Vec<Self>) -> Self {
        match (parts.pop(), parts.is_empty()) {
            (Some(one), true) => one,
            (last, _) => {
                parts.extend(last);
                Self::Any(parts)
            }
        }
    }

    /// Its predicates in the order in which the rule names them.
    pub(super) fn predicates(&self, into: &mut Vec<PredicateId>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.predicates(into);
                }
            }
            Self::Not(part) => part.predicates(into),
            Self::Is(predicate) => into.push(*predicate),
        }
    }

    pub(super) fn holds(&self, is_true: &mut impl FnMut(PredicateId) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(is_true)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(is_true)),
            Self::Not(part) => !part.holds(is_true),
            Self::Is(predicate) => is_true(*predicate),
        }
    }
}

impl Versions {
    pub(super) fn last(&self) -> u32 {
        self.0.last().map_or(0, |(_, version)| *version)
    }

    /// The version in force at the position.
    pub(super) fn at(&self, position: Position) -> u32 {
        let since = self.0.partition_point(|(since, _)| *since <= position);
        let version = since.checked_sub(1).and_then(|place| self.0.get(place));
        version.map_or(0, |(_, version)| *version)
    }
}

impl Audience {
    /// Whether somebody of whom no predicate is true would be in it.
    pub(super) fn holds_of_nothing(&self) -> bool {
        let rule = self.rule.as_ref();
        rule.is_some_and(|rule| rule.expression.holds(&mut |_| false))
    }
}
