use std::collections::HashSet;

use events::{AudienceDefined, AudienceDeleted, AudienceEvent};
use types::filter::{Group, GroupOperator, RuleLimits, Set};
use types::{AudienceId, JsonDocument};

use crate::limits::AUDIENCE_LEVELS_MAX;
use crate::{Change, Decider};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceCommand {
    /// Create the audience or change it.
    Put(AudiencePut),
    Delete,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudiencePut {
    pub name: Change<String>,
    pub description: Change<String>,
    pub filter: Change<Group>,
    /// Of the top group, where a rule is kept; a rule that is set has its own.
    pub operator: Option<GroupOperator>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AudienceState {
    #[default]
    Absent,
    Defined(AudienceDefined),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudienceRefusal {
    #[error("there is no such audience")]
    NotFound,
    /// The ids on the way from the audience back to itself, it at both ends.
    #[error("the audience would be a part of itself: {}", way(path))]
    Cycle { path: Vec<AudienceId> },
    #[error("more than {AUDIENCE_LEVELS_MAX} audiences would ask about each other in a row")]
    Chain {
        /// One of those about which the rule asks.
        through: AudienceId,
    },
}

impl AudienceRefusal {
    /// The audience about which the rule must not ask.
    pub fn through(&self) -> Option<&AudienceId> {
        match self {
            Self::NotFound => None,
            Self::Cycle { path } => path.get(1),
            Self::Chain { through } => Some(through),
        }
    }
}

fn way(path: &[AudienceId]) -> String {
    let ids: Vec<&str> = path.iter().map(AudienceId::as_str).collect();
    ids.join(" → ")
}

pub struct Audience;

impl Decider for Audience {
    type Command = AudienceCommand;
    type Event = AudienceEvent;
    type State = AudienceState;
    type Refusal = AudienceRefusal;

    fn decide(
        state: &AudienceState,
        command: AudienceCommand,
    ) -> Result<Vec<AudienceEvent>, AudienceRefusal> {
        match (command, state) {
            (AudienceCommand::Put(put), AudienceState::Absent) => {
                let absent = AudienceDefined {
                    name: String::new(),
                    description: String::new(),
                    filter: None,
                    version: 0,
                };
                let defined = AudienceDefined {
                    version: 1,
                    ..changed(&absent, put)
                };
                Ok(vec![AudienceEvent::Defined(defined)])
            }
            (AudienceCommand::Put(put), AudienceState::Defined(current)) => {
                let defined = changed(current, put);
                let says_nothing = defined == *current;
                Ok(if says_nothing {
                    vec![]
                } else {
                    vec![AudienceEvent::Defined(defined)]
                })
            }
            (AudienceCommand::Delete, AudienceState::Defined(_)) => {
                Ok(vec![AudienceEvent::Deleted(AudienceDeleted {})])
            }
            (AudienceCommand::Delete, AudienceState::Absent) => Err(AudienceRefusal::NotFound),
        }
    }

    fn evolve(state: &mut AudienceState, event: &AudienceEvent) {
        *state = match event {
            AudienceEvent::Defined(defined) => AudienceState::Defined(defined.clone()),
            AudienceEvent::Deleted(AudienceDeleted {}) => AudienceState::Absent,
        };
    }
}

fn changed(current: &AudienceDefined, put: AudiencePut) -> AudienceDefined {
    let text = |change: Change<String>, current: &String| match change {
        Change::Keep => current.clone(),
        Change::Clear => String::new(),
        Change::Set(text) => text,
    };
    let filter = match (put.filter, put.operator) {
        (Change::Keep, None) => current.filter.clone(),
        (Change::Keep, operator) => current.filter.as_ref().map(|filter| {
            match Group::parse(&filter.to_value(), operator, RuleLimits::STORED) {
                Ok(group) => JsonDocument::from_value(&group.to_value()),
                // What is stored was parsed before it was stored.
                Err(_) => filter.clone(),
            }
        }),
        (Change::Clear, _) => None,
        (Change::Set(group), _) => Some(JsonDocument::from_value(&group.to_value())),
    };
    AudienceDefined {
        name: text(put.name, &current.name),
        description: text(put.description, &current.description),
        version: current.version + u32::from(filter != current.filter),
        filter,
    }
}

/// Refuses a rule by which the audience would be a part of itself. `references_of` says of which
/// audiences another one is made; none of them is part of itself so far.
pub fn refuse_cycle(
    audience: &AudienceId,
    rule: &Group,
    references_of: impl Fn(&AudienceId) -> Vec<AudienceId>,
) -> Result<(), AudienceRefusal> {
    let mut seen = HashSet::new();
    // The way so far, and at each of its places where else to go from there.
    let mut path = vec![audience.clone()];
    let mut open = vec![audiences_of(rule)];
    while let Some(choices) = open.last_mut() {
        let Some(next) = choices.pop() else {
            open.pop();
            path.pop();
            continue;
        };
        if next == *audience {
            path.push(next);
            return Err(AudienceRefusal::Cycle { path });
        }
        if seen.insert(next.clone()) {
            open.push(references_of(&next));
            path.push(next);
        }
    }
    Ok(())
}

/// Refuses a rule by which too many audiences would ask about each other in a row; `above` of them
/// are in a row before this one already.
pub fn refuse_chain(
    audience: &AudienceId,
    rule: &Group,
    above: usize,
    references_of: impl Fn(&AudienceId) -> Vec<AudienceId>,
) -> Result<(), AudienceRefusal> {
    // Level by level: the audiences at the end of each row of this length.
    let mut level: HashSet<AudienceId> = audiences_of(rule).into_iter().collect();
    let first = level.iter().min().cloned();
    let mut length = above + 1;
    while !level.is_empty() {
        length += 1;
        if length > AUDIENCE_LEVELS_MAX {
            let through = first.unwrap_or_else(|| audience.clone());
            return Err(AudienceRefusal::Chain { through });
        }
        level = level.iter().flat_map(&references_of).collect();
    }
    Ok(())
}

/// The audiences that the rule asks about.
pub fn audiences_of(rule: &Group) -> Vec<AudienceId> {
    rule.sets()
        .filter_map(|set| match set {
            Set::Audience(audience) => Some(audience.clone()),
            Set::Tenant(_) | Set::TenantTree(_) | Set::List(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::limits::RULE_LIMITS;
    use crate::testing::given;

    fn rule(value: &Value) -> Group {
        Group::parse(value, None, RULE_LIMITS).unwrap()
    }

    fn is(value: &str) -> Value {
        json!({"operator": "EQ", "path": "plan", "value": value})
    }

    fn part_of(ids: &[&str]) -> Group {
        let leaf = |id: &&str| json!({"operator": "MEMBER_OF", "path": "audience", "value": id});
        let leaves: Vec<Value> = ids.iter().map(leaf).collect();
        rule(
            &json!({"operator": "AND", "filters": [is("pro"), {"operator": "OR", "filters": leaves}]}),
        )
    }

    fn defined(name: &str, filter: Option<&Group>, version: u32) -> AudienceEvent {
        AudienceEvent::Defined(AudienceDefined {
            name: name.to_owned(),
            description: String::new(),
            filter: filter.map(|group| JsonDocument::from_value(&group.to_value())),
            version,
        })
    }

    fn put(name: Change<String>, filter: Change<Group>) -> AudienceCommand {
        AudienceCommand::Put(AudiencePut {
            name,
            filter,
            ..AudiencePut::default()
        })
    }

    fn named(name: &str) -> Change<String> {
        Change::Set(name.to_owned())
    }

    #[test]
    fn putting_nothing_creates_an_audience_of_nobody() {
        given::<Audience>([])
            .when(put(Change::Keep, Change::Keep))
            .then([defined("", None, 1)]);
    }

    #[test]
    fn what_is_left_out_stays_and_null_clears() {
        let pros = rule(&is("pro"));
        given::<Audience>([defined("Pros", Some(&pros), 1)])
            .when(put(named("Payers"), Change::Keep))
            .then([defined("Payers", Some(&pros), 1)]);
        given::<Audience>([defined("Pros", Some(&pros), 1)])
            .when(put(Change::Clear, Change::Clear))
            .then([defined("", None, 2)]);
    }

    #[test]
    fn the_version_rises_with_the_rule_only() {
        let (pros, free) = (rule(&is("pro")), rule(&is("free")));
        given::<Audience>([defined("A", Some(&pros), 4)])
            .when(put(Change::Keep, Change::Set(free.clone())))
            .then([defined("A", Some(&free), 5)]);
        given::<Audience>([defined("A", Some(&pros), 4)])
            .when(put(named("A"), Change::Set(pros.clone())))
            .then_nothing();
    }

    #[test]
    fn an_operator_by_itself_changes_the_top_of_the_rule_that_is_there() {
        let and = json!({"operator": "AND", "filters": [is("a"), is("b")]});
        let or = json!({"operator": "OR", "filters": [is("a"), is("b")]});
        let operator = || {
            AudienceCommand::Put(AudiencePut {
                operator: Some(GroupOperator::Or),
                ..AudiencePut::default()
            })
        };
        given::<Audience>([defined("", Some(&rule(&and)), 1)])
            .when(operator())
            .then([defined("", Some(&rule(&or)), 2)]);
        given::<Audience>([defined("", None, 1)])
            .when(operator())
            .then_nothing();
    }

    #[test]
    fn a_deleted_audience_is_gone_and_begins_anew() {
        let deleted = || AudienceEvent::Deleted(AudienceDeleted {});
        given::<Audience>([defined("A", None, 3)])
            .when(AudienceCommand::Delete)
            .then([deleted()]);
        given::<Audience>([defined("A", None, 3), deleted()])
            .when(AudienceCommand::Delete)
            .then_refused(AudienceRefusal::NotFound);
        given::<Audience>([defined("A", None, 3), deleted()])
            .when(put(named("B"), Change::Keep))
            .then([defined("B", None, 1)]);
    }

    #[test]
    fn a_way_back_to_itself_is_refused_with_every_id_on_it() {
        let id = |text: &str| AudienceId::parse(text).unwrap();
        let references_of = |audience: &AudienceId| match audience.as_str() {
            "b" => vec![id("c"), id("d")],
            "d" => vec![id("a"), id("e")],
            "e" => vec![id("c")],
            _ => vec![],
        };
        let refused = |path: &[&str]| {
            Err(AudienceRefusal::Cycle {
                path: path.iter().map(|text| id(text)).collect(),
            })
        };
        let check = |audience: &str, rule: &Group| refuse_cycle(&id(audience), rule, references_of);
        assert_eq!(check("a", &part_of(&["c", "a"])), refused(&["a", "a"]));
        assert_eq!(
            check("a", &part_of(&["x", "b"])),
            refused(&["a", "b", "d", "a"])
        );
        assert_eq!(check("x", &part_of(&["b", "c"])), Ok(()));
    }

    #[test]
    fn too_many_audiences_in_a_row_are_refused() {
        let id = |number: usize| AudienceId::parse(&number.to_string()).unwrap();
        let number = |audience: &AudienceId| audience.as_str().parse::<usize>().unwrap();
        // Each asks about the one before it.
        let references_of = |audience: &AudienceId| match number(audience) {
            0 => vec![],
            other => vec![id(other - 1)],
        };
        let check = |below: usize, above: usize| {
            let rule = part_of(&[&(below - 1).to_string()]);
            refuse_chain(&id(below), &rule, above, references_of)
        };
        assert_eq!(check(AUDIENCE_LEVELS_MAX - 1, 0), Ok(()));
        assert_eq!(check(AUDIENCE_LEVELS_MAX - 4, 3), Ok(()));
        let refused = |through| {
            let through = id(through);
            Err(AudienceRefusal::Chain { through })
        };
        let most = AUDIENCE_LEVELS_MAX;
        assert_eq!(check(most, 0), refused(most - 1));
        assert_eq!(check(most - 3, 3), refused(most - 4));
    }
}
