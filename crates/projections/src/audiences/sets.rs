use std::borrow::Cow;

use roaring::{MultiOps as _, RoaringBitmap};
use types::Timestamp;
use types::filter::{Condition, Group, GroupOperator, Rule, Set, Test};

use super::predicates::Question;
use super::row::RowFacts;
use super::state::{Sets, State};

/// So few people are asked one by one rather than by sets.
const FEW: u64 = 256;

/// What is asked about besides the index.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) sets: Sets<'a>,
    /// The present of windows.
    pub(crate) now: Timestamp,
}

impl State {
    /// Everybody with a stored profile whom the rule accepts, by algebra on sets. `None` if the
    /// index of some path is missing.
    pub(super) fn members_of(&self, rule: &Group, at: At<'_>) -> Option<RoaringBitmap> {
        let members = self.rows_of_group(rule, at)?;
        Some(&*members & &self.population)
    }

    fn rows_of_group(&self, group: &Group, at: At<'_>) -> Option<Cow<'_, RoaringBitmap>> {
        match group.operator {
            GroupOperator::And => self.rows_of_all(&group.rules, at),
            GroupOperator::Or => {
                let rows = group.rules.iter().map(|rule| self.rows_of(rule, at));
                let rows: Vec<_> = rows.collect::<Option<_>>()?;
                if let [one] = rows.as_slice() {
                    return Some(one.clone());
                }
                Some(Cow::Owned(rows.iter().map(|rows| &**rows).union()))
            }
        }
    }

    fn rows_of(&self, rule: &Rule, at: At<'_>) -> Option<Cow<'_, RoaringBitmap>> {
        let stated = self.rows_stated(rule, at)?;
        Some(if denies(rule) {
            Cow::Owned(&self.population - &*stated)
        } else {
            stated
        })
    }

    /// The rows of what the rule states, or of what it denies.
    fn rows_stated(&self, rule: &Rule, at: At<'_>) -> Option<Cow<'_, RoaringBitmap>> {
        match rule {
            Rule::Group(group) => self.rows_of_group(group, at),
            Rule::Attribute(condition) => self.rows_of_tests(condition, at.now),
            Rule::Member(membership) => Some(self.rows_of_set(&membership.set, at.sets)),
            Rule::Not(rule) => self.rows_of(rule, at),
        }
    }

    /// The rows of a conjunction: what is at hand as a set first, and once few are left they are
    /// asked one by one; whatever denies takes away.
    fn rows_of_all(&self, rules: &[Rule], at: At<'_>) -> Option<Cow<'_, RoaringBitmap>> {
        let mut ordered: Vec<&Rule> = rules.iter().collect();
        ordered.sort_by_key(|rule| effort(rule));
        let mut rows: Option<Cow<'_, RoaringBitmap>> = None;
        for rule in ordered {
            // A missing index must be noticed, however few are left.
            self.indexed(rule).then_some(())?;
            rows = Some(match rows {
                Some(few) if few.len() <= FEW => {
                    let accepts = |row: &u32| {
                        rule.matches(&RowFacts {
                            state: self,
                            sets: at.sets,
                            now: at.now,
                            row: *row,
                        })
                    };
                    Cow::Owned(few.iter().filter(accepts).collect())
                }
                Some(rows) if denies(rule) => Cow::Owned(&*rows - &*self.rows_stated(rule, at)?),
                Some(rows) => Cow::Owned(&*rows & &*self.rows_stated(rule, at)?),
                None => self.rows_of(rule, at)?,
            });
        }
        rows
    }

    fn indexed(&self, rule: &Rule) -> bool {
        match rule {
            Rule::Group(group) => group.rules.iter().all(|rule| self.indexed(rule)),
            Rule::Not(rule) => self.indexed(rule),
            Rule::Attribute(condition) => self.columns.get(&condition.path).is_some(),
            Rule::Member(_) => true,
        }
    }

    /// The rows of which at least one test is true, whether or not the condition is negated.
    fn rows_of_tests(
        &self,
        condition: &Condition,
        now: Timestamp,
    ) -> Option<Cow<'_, RoaringBitmap>> {
        let column = self.columns.get(&condition.path)?;
        let rows = |test: &Test| column.rows_where(test, now);
        if let [test] = condition.tests.as_slice() {
            return Some(rows(test));
        }
        let each: Vec<_> = condition.tests.iter().map(rows).collect();
        Some(Cow::Owned(each.iter().map(|rows| &**rows).union()))
    }

    /// Everybody in the set, with a stored profile or without.
    pub(super) fn rows_of_set(&self, set: &Set, sets: Sets<'_>) -> Cow<'_, RoaringBitmap> {
        let question = Question::Set(set.clone());
        let asked = self.predicates.find(&question);
        if let Some(members) = asked.and_then(|asked| self.predicates.members.get(&asked)) {
            return Cow::Borrowed(members);
        }
        match set {
            Set::Audience(audience) => match self.numbers.get(audience) {
                Some(number) => Cow::Borrowed(&self.audience(*number).members),
                None => Cow::default(),
            },
            Set::List(_) | Set::Tenant(_) | Set::TenantTree(_) => Cow::Owned(sets.rows(set)),
        }
    }
}

impl Sets<'_> {
    /// Everybody in the lists or tenants that are meant; nobody for any other set.
    pub(super) fn rows(self, set: &Set) -> RoaringBitmap {
        match set {
            Set::List(pattern) => self.lists.union_of(pattern),
            Set::Tenant(tenant) => self.tenants.rows(tenant).cloned().unwrap_or_default(),
            Set::TenantTree(root) => self.tenants.rows_of_tree(root),
            Set::Audience(_) => RoaringBitmap::new(),
        }
    }
}

fn denies(rule: &Rule) -> bool {
    match rule {
        Rule::Not(_) => true,
        Rule::Attribute(condition) => condition.negated,
        Rule::Member(_) | Rule::Group(_) => false,
    }
}

/// What it takes to have the rows as a set, roughly.
fn effort(rule: &Rule) -> u8 {
    match rule {
        Rule::Member(_) => 0,
        Rule::Attribute(condition) => {
            let at_hand = |test: &Test| matches!(test, Test::Equals(_) | Test::Exists);
            let at_hand = condition.tests.iter().all(at_hand);
            match (at_hand, condition.negated) {
                (true, false) => 0,
                (true, true) => 1,
                (false, _) => 2,
            }
        }
        Rule::Not(rule) => effort(rule).max(1),
        Rule::Group(group) => group.rules.iter().map(effort).max().unwrap_or(0).max(2),
    }
}
