use std::collections::VecDeque;
use std::sync::Arc;

use events::AudienceDefined;
use types::filter::{
    Condition, Group, GroupOperator, Operand, Operator, Rule, RuleLimits, Set, Test, quoted_short,
};
use types::{AttributePath, AudienceId, JsonDocument};

use super::audience::{
    Audience, DefinedRule, Expression, FORMER_AUDIENCES_MAX, FORMER_RULES_MAX, Former, Versions,
};
use super::predicates::{PredicateId, Question};
use super::settle::Effects;
use super::state::{Others, State};

impl State {
    /// Takes over what the audience is now. Who is in it follows when the event is settled.
    pub(super) fn define(
        &mut self,
        id: &AudienceId,
        defined: &AudienceDefined,
        others: Others<'_>,
        effects: &mut Effects,
    ) {
        let number = self.number_of(id);
        // The new rule comes before the old one goes, so that what both ask for is not built twice.
        let rule = defined
            .filter
            .as_ref()
            .and_then(|filter| self.compile(filter, others));
        let (position, at) = (self.last.position, self.last.at);
        let audience = self.audience_mut(number);
        defined.name.clone_into(&mut audience.name);
        defined.description.clone_into(&mut audience.description);
        audience.updated_at = at;
        if audience.versions.last() != defined.version {
            audience.versions.0.push((position, defined.version));
        }
        let old = std::mem::replace(&mut audience.rule, rule);
        self.remember_labels(number, old.as_ref());
        if let Some(old) = &old {
            self.undepend(number, old);
        }
        if let Some(rule) = &self.audience(number).rule {
            let (leaves, access) = (rule.leaves.clone(), rule.access);
            self.depend(number, &leaves, access);
        }
        if let Some(old) = &old {
            self.give_up(old);
        }
        self.note_default(number);
        self.raise_ranks(number);
        self.windows_may_have_changed();
        effects.redefined = Some(number);
    }

    pub(super) fn delete(&mut self, id: &AudienceId, others: Others<'_>) {
        let Some(number) = self.numbers.get(id).copied() else {
            return;
        };
        if let Some(old) = self.audience_mut(number).rule.take() {
            self.undepend(number, &old);
            self.give_up(&old);
        }
        self.note_default(number);
        self.settle_redefined(number, others);
        self.numbers.remove(id);
        if let Some(predicate) = self.audience(number).as_set {
            self.targets.remove(&predicate);
        }
        let Some(audience) = self.audiences[number as usize].take() else {
            return;
        };
        let former = self.former.entry(id.clone()).or_default();
        former.push_back(Former {
            number,
            created: audience.created.position,
            versions: audience.versions,
        });
        if former.len() > FORMER_AUDIENCES_MAX {
            former.pop_front();
        }
    }

    /// Takes note of what the rule asked that is in force no more: changes that it brought about are
    /// still told by it.
    fn remember_labels(&mut self, number: u32, old: Option<&DefinedRule>) {
        let leaves = old.map_or(&[][..], |old| &old.leaves);
        let label = |leaf: &PredicateId| Arc::clone(&self.predicates.get(*leaf).label);
        let labels = leaves.iter().map(label).collect();
        let position = self.last.position;
        let former = &mut self.audience_mut(number).former_labels;
        former.push_back((position, labels));
        if former.len() > FORMER_RULES_MAX {
            former.pop_front();
        }
    }

    fn number_of(&mut self, id: &AudienceId) -> u32 {
        if let Some(number) = self.numbers.get(id) {
            return *number;
        }
        let number = u32::try_from(self.audiences.len()).unwrap_or(u32::MAX);
        // Other rules may have asked about it before it was there.
        let as_set = self
            .predicates
            .find(&Question::Set(Set::Audience(id.clone())));
        if let Some(predicate) = as_set {
            self.targets.insert(predicate, number);
        }
        self.numbers.insert(id.clone(), number);
        self.audiences.push(Some(Box::new(Audience {
            id: id.clone(),
            name: String::new(),
            description: String::new(),
            rule: None,
            created: self.last,
            updated_at: self.last.at,
            versions: Versions::default(),
            former_labels: VecDeque::new(),
            members: roaring::RoaringBitmap::new(),
            cohorts: Vec::new(),
            rank: 0,
            as_set,
        })));
        number
    }

    pub(super) fn audience_mut(&mut self, number: u32) -> &mut Audience {
        self.audiences[number as usize]
            .as_deref_mut()
            .expect("only audiences that exist are looked at")
    }

    pub(super) fn compile(
        &mut self,
        filter: &JsonDocument,
        others: Others<'_>,
    ) -> Option<DefinedRule> {
        let group = Group::parse(&filter.to_value(), None, RuleLimits::STORED).ok()?;
        let mut leaves = Vec::new();
        let expression = self.compile_group(&group, others, &mut leaves);
        leaves.sort_unstable();
        // Every acquisition counts once for the audience.
        let mut distinct = leaves.clone();
        distinct.dedup();
        for pair in leaves.windows(2).filter(|pair| pair[0] == pair[1]) {
            self.release(pair[0]);
        }
        let access = self.access_to(&group);
        Some(DefinedRule {
            document: filter.clone(),
            group: Arc::new(group),
            expression,
            leaves: distinct,
            access,
        })
    }

    fn compile_group(
        &mut self,
        group: &Group,
        others: Others<'_>,
        leaves: &mut Vec<PredicateId>,
    ) -> Expression {
        let rules = group.rules.iter();
        let parts = rules
            .map(|rule| self.compile_rule(rule, others, leaves))
            .collect();
        match group.operator {
            GroupOperator::And => Expression::all(parts),
            GroupOperator::Or => Expression::any(parts),
        }
    }

    fn compile_rule(
        &mut self,
        rule: &Rule,
        others: Others<'_>,
        leaves: &mut Vec<PredicateId>,
    ) -> Expression {
        match rule {
            Rule::Group(group) => self.compile_group(group, others, leaves),
            Rule::Not(rule) => Expression::Not(Box::new(self.compile_rule(rule, others, leaves))),
            Rule::Member(membership) => {
                let label = rule.label();
                let predicate = self.acquire_set(&membership.set, &label, others);
                leaves.push(predicate);
                Expression::Is(predicate)
            }
            Rule::Attribute(condition) => {
                let any = condition.tests.iter().enumerate().map(|(place, test)| {
                    let label = label(condition, place);
                    let predicate = self.acquire_test(&condition.path, test, &label, others);
                    leaves.push(predicate);
                    Expression::Is(predicate)
                });
                let any = Expression::any(any.collect());
                if condition.negated {
                    Expression::Not(Box::new(any))
                } else {
                    any
                }
            }
        }
    }

    fn acquire_test(
        &mut self,
        path: &AttributePath,
        test: &Test,
        label: &str,
        others: Others<'_>,
    ) -> PredicateId {
        let column = self
            .columns
            .ensure(path, test, &self.population, others.attributes);
        let question = Question::Attribute {
            column,
            test: test.clone(),
        };
        let (predicate, new) = self.predicates.acquire(question, label);
        if new {
            self.columns.add_test(column, test, predicate, self.last.at);
        }
        predicate
    }

    fn acquire_set(&mut self, set: &Set, label: &str, others: Others<'_>) -> PredicateId {
        let (predicate, new) = self.predicates.acquire(Question::Set(set.clone()), label);
        if !new {
            return predicate;
        }
        match set {
            Set::List(pattern) => {
                let live = others.sets.lists.live_matching(pattern).cloned().collect();
                self.predicates
                    .members
                    .insert(predicate, others.sets.rows(set));
                self.predicates.live_lists.insert(predicate, live);
            }
            Set::Tenant(tenant) | Set::TenantTree(tenant) => {
                self.predicates
                    .members
                    .insert(predicate, others.sets.rows(set));
                self.note_known(tenant, others);
            }
            Set::Audience(id) => {
                if let Some(number) = self.numbers.get(id).copied() {
                    self.targets.insert(predicate, number);
                    self.audience_mut(number).as_set = Some(predicate);
                }
            }
        }
        predicate
    }

    fn release(&mut self, predicate: PredicateId) {
        match self.predicates.release(predicate) {
            Some(Question::Attribute { column, test }) => {
                self.columns.remove_test(column, &test, predicate);
            }
            Some(Question::Set(_)) => {
                if let Some(number) = self.targets.remove(&predicate) {
                    self.audience_mut(number).as_set = None;
                }
            }
            None => {}
        }
    }

    pub(super) fn depend(
        &mut self,
        number: u32,
        leaves: &[PredicateId],
        access: Option<PredicateId>,
    ) {
        self.predicates.depend(number, leaves, access);
        if let Some(column) = access.and_then(|access| self.column_of(access)) {
            *self.access_columns.entry(column).or_default() += 1;
        }
    }

    fn undepend(&mut self, number: u32, rule: &DefinedRule) {
        self.predicates.undepend(number, &rule.leaves, rule.access);
        if let Some(column) = rule.access.and_then(|access| self.column_of(access))
            && let Some(uses) = self.access_columns.get_mut(&column)
        {
            *uses -= 1;
            if *uses == 0 {
                self.access_columns.remove(&column);
            }
        }
    }

    fn give_up(&mut self, rule: &DefinedRule) {
        for leaf in &rule.leaves {
            self.release(*leaf);
        }
    }

    fn column_of(&self, predicate: PredicateId) -> Option<u32> {
        match self.predicates.get(predicate).question {
            Question::Attribute { column, .. } => Some(column),
            Question::Set(_) => None,
        }
    }

    /// Of the leaves that must be true, and are found by the value that a person holds, the one
    /// through which fewest audiences are reached for fewest people.
    fn access_to(&self, group: &Group) -> Option<PredicateId> {
        if group.operator == GroupOperator::Or && group.rules.len() > 1 {
            return None;
        }
        let candidates = group.rules.iter().filter_map(|rule| match rule {
            Rule::Attribute(Condition {
                path,
                tests,
                negated: false,
                ..
            }) => match tests.as_slice() {
                [test @ Test::Equals(_)] => {
                    let column = self.columns.number(path)?;
                    let test = test.clone();
                    self.predicates.find(&Question::Attribute { column, test })
                }
                _ => None,
            },
            Rule::Attribute(_) | Rule::Member(_) | Rule::Group(_) | Rule::Not(_) => None,
        });
        candidates.min_by_key(|predicate| {
            let predicate = self.predicates.get(*predicate);
            let rows = match &predicate.question {
                Question::Attribute { column, test } => {
                    let column = self.columns.column(*column);
                    column.map_or(0, |column| column.rows_where(test, self.last.at).len())
                }
                Question::Set(_) => 0,
            };
            (rows + 1).saturating_mul(predicate.users() as u64)
        })
    }

    pub(super) fn note_default(&mut self, number: u32) {
        if self.audience(number).holds_of_nothing() {
            self.held_by_default.insert(number);
        } else {
            self.held_by_default.remove(&number);
        }
    }

    /// Gives the audience, and those that ask about it, ranks above all that they ask about.
    fn raise_ranks(&mut self, number: u32) {
        let mut due = vec![number];
        while let Some(number) = due.pop() {
            let rule = self.audience(number).rule.as_ref();
            let leaves = rule.map_or(&[][..], |rule| &rule.leaves);
            let asked = leaves.iter().filter_map(|leaf| self.targets.get(leaf));
            let rank = asked.map(|it| self.rank(*it) + 1).max().unwrap_or(0);
            self.audience_mut(number).rank = rank;
            if let Some(predicate) = self.audience(number).as_set {
                let dependents = self.predicates.get(predicate).all_dependents();
                due.extend(dependents.filter(|it| self.rank(*it) <= rank));
            }
        }
    }
}

/// One test of a condition as reasons write it, the condition not negated.
fn label(condition: &Condition, place: usize) -> String {
    let (operator, operand) = match (condition.operator, &condition.operand) {
        (Operator::NotEqual, Operand::One(text)) => (Operator::Equal, text.as_str()),
        (Operator::Exists, Operand::One(_)) => (Operator::Exists, "true"),
        (operator, Operand::One(text)) => (operator, text.as_str()),
        (_, Operand::AnyOf(texts)) => (Operator::Includes, texts.get(place).map_or("", |it| it)),
    };
    let operator = if operator == Operator::Omits {
        Operator::Includes
    } else {
        operator
    };
    let (path, operand) = (quoted_short(condition.path.as_str()), quoted_short(operand));
    format!("{}({path}, {operand})", operator.name())
}
