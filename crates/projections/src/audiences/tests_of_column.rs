use std::collections::HashMap;

use serde_json::Value;
use types::filter::{Direction, Moment, NumberOrder, Stored, Test, TimeOrder, Window};
use types::{Decimal, Timestamp};

use super::column::Column;
use super::predicates::PredicateId;

/// The tests that rules ask of one column, so arranged that a value finds those that accept it, and
/// a change of value those of which the outcome changes, without asking each.
#[derive(Debug, Default)]
pub(super) struct TestsOfColumn {
    exists: Option<PredicateId>,
    equals: ByScalar,
    includes: ByScalar,
    /// `INCLUDES` again, for strings: there it asks for a part.
    parts: Vec<(Test, PredicateId)>,
    /// `CONTAINS`, `STARTS_WITH`, `ENDS_WITH`.
    texts: Vec<(Test, PredicateId)>,
    /// True from the operand on upwards; ascending. The flag tells `GT` from `GTE`.
    above: Ascending<(Decimal, bool)>,
    /// True up to the operand; ascending. The flag tells `LTE` from `LT`.
    below: Ascending<(Decimal, bool)>,
    after: Ascending<Moment>,
    before: Ascending<Moment>,
    windows: Vec<WindowOfColumn>,
}

/// Predicates in the order of their operands.
type Ascending<K> = Vec<(K, PredicateId)>;

/// A relative window and where it stands.
#[derive(Clone, Debug)]
pub(super) struct WindowOfColumn {
    pub(super) predicate: PredicateId,
    pub(super) direction: Direction,
    pub(super) window: Window,
    /// First and last moment, both included, as of the last event.
    pub(super) bounds: (Moment, Moment),
}

/// Tests for equality, found by the value.
#[derive(Debug, Default)]
struct ByScalar {
    by_text: HashMap<String, PredicateId>,
    /// Several operands can be one number, differently written.
    by_number: HashMap<Decimal, Vec<PredicateId>>,
}

impl WindowOfColumn {
    /// Tells every row for which the window changes from its bounds to those of this time.
    pub(super) fn crossing(&self, column: &Column, now: Timestamp, mut tell: impl FnMut(u32)) {
        let (old, new) = (self.bounds, self.window.bounds(self.direction, now));
        let within = |bounds: (Moment, Moment), held| (bounds.0..=bounds.1).contains(&held);
        let mut note = |first: Moment, last: Moment| {
            column.rows_between(first, last, |row, held| {
                if within(old, held) != within(new, held) {
                    tell(row);
                }
            });
        };
        // What neither end has passed does not change. Where one end passed the other's old place,
        // a row may be told twice.
        note(old.0.min(new.0), old.0.max(new.0));
        note(old.1.min(new.1), old.1.max(new.1));
    }

    /// The earliest time at which the window may change for somebody, from where it stands now;
    /// never too late.
    pub(super) fn next_change(&self, column: &Column) -> Option<Moment> {
        let (first, last) = self.bounds;
        let leaving = column.first_from(first);
        let entering = column.first_from(last.next());
        let (leaving, entering) = match self.direction {
            // The beginning passes a time one window after it; the end passes it when it has come.
            Direction::Last => (leaving.map(|it| self.window.left_at(it)), entering),
            Direction::Next => (leaving, entering.map(|it| self.window.reached_at(it))),
        };
        leaving.into_iter().chain(entering).min()
    }
}

impl TestsOfColumn {
    pub(super) fn add(&mut self, test: &Test, predicate: PredicateId, now: Timestamp) {
        match test {
            Test::Exists => self.exists = Some(predicate),
            Test::Equals(scalar) => self.equals.add(scalar, predicate),
            Test::Includes(scalar) => {
                self.includes.add(scalar, predicate);
                self.parts.push((test.clone(), predicate));
            }
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => {
                self.texts.push((test.clone(), predicate));
            }
            Test::Number(order, operand) => {
                let (list, strict) = self.numbers_of(*order);
                insert(list, (operand.clone(), strict), predicate);
            }
            Test::Time(order, operand) => insert(self.times_of(*order), *operand, predicate),
            Test::Within(direction, window) => self.windows.push(WindowOfColumn {
                predicate,
                direction: *direction,
                window: window.clone(),
                bounds: window.bounds(*direction, now),
            }),
        }
    }

    pub(super) fn remove(&mut self, test: &Test, predicate: PredicateId) {
        match test {
            Test::Exists => self.exists = None,
            Test::Equals(scalar) => self.equals.remove(scalar, predicate),
            Test::Includes(scalar) => {
                self.includes.remove(scalar, predicate);
                self.parts.retain(|(_, held)| *held != predicate);
            }
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => {
                self.texts.retain(|(_, held)| *held != predicate);
            }
            Test::Number(order, _) => {
                let (list, _) = self.numbers_of(*order);
                list.retain(|(_, held)| *held != predicate);
            }
            Test::Time(order, _) => self.times_of(*order).retain(|(_, held)| *held != predicate),
            Test::Within(..) => self.windows.retain(|window| window.predicate != predicate),
        }
    }

    fn numbers_of(&mut self, order: NumberOrder) -> (&mut Ascending<(Decimal, bool)>, bool) {
        match order {
            NumberOrder::Greater => (&mut self.above, true),
            NumberOrder::GreaterOrEqual => (&mut self.above, false),
            NumberOrder::Less => (&mut self.below, false),
            NumberOrder::LessOrEqual => (&mut self.below, true),
        }
    }

    fn times_of(&mut self, order: TimeOrder) -> &mut Ascending<Moment> {
        match order {
            TimeOrder::Before => &mut self.before,
            TimeOrder::After => &mut self.after,
        }
    }

    pub(super) fn windows(&self) -> &[WindowOfColumn] {
        &self.windows
    }

    /// Takes the windows out, to be moved and put back.
    pub(super) fn take_windows(&mut self) -> Vec<WindowOfColumn> {
        std::mem::take(&mut self.windows)
    }

    pub(super) fn put_windows(&mut self, windows: Vec<WindowOfColumn>) {
        self.windows = windows;
    }

    /// `EQ` tests that accept the value.
    pub(super) fn equal_to(&self, stored: &Stored<'_>, mut found: impl FnMut(PredicateId)) {
        self.equals.accepting(stored, &mut found);
    }

    /// Collects the predicates that are true of one of the values and not of the other.
    pub(super) fn changes(
        &self,
        old: Option<&Value>,
        new: Option<&Value>,
        now: Timestamp,
        changed: &mut Vec<PredicateId>,
    ) {
        let (old, new) = (old.map(Stored::new), new.map(Stored::new));
        let (old, new) = (old.as_ref(), new.as_ref());
        self.changes_of_orders(old, new, changed);
        if old.is_some() != new.is_some() {
            changed.extend(self.exists);
        }
        let mut accepting_old = Vec::new();
        let mut accepting_new = Vec::new();
        if let Some(old) = old {
            self.accepting(old, now, &mut accepting_old);
        }
        if let Some(new) = new {
            self.accepting(new, now, &mut accepting_new);
        }
        let is_in = |list: &[PredicateId], predicate: &PredicateId| list.contains(predicate);
        if accepting_old.len().max(accepting_new.len()) > 16 {
            accepting_old.sort_unstable();
            accepting_new.sort_unstable();
            let sorted_in = |list: &[PredicateId], predicate: &PredicateId| {
                list.binary_search(predicate).is_ok()
            };
            let only_old = accepting_old
                .iter()
                .filter(|it| !sorted_in(&accepting_new, it));
            let only_new = accepting_new
                .iter()
                .filter(|it| !sorted_in(&accepting_old, it));
            changed.extend(only_old.chain(only_new));
        } else {
            let only_old = accepting_old.iter().filter(|it| !is_in(&accepting_new, it));
            let only_new = accepting_new.iter().filter(|it| !is_in(&accepting_old, it));
            changed.extend(only_old.chain(only_new));
        }
    }

    /// Those without an order, of which there is no saying which change but by asking.
    fn accepting(&self, stored: &Stored<'_>, now: Timestamp, into: &mut Vec<PredicateId>) {
        self.equals.accepting(stored, &mut |it| into.push(it));
        match stored.value() {
            Value::Array(elements) => {
                for element in elements {
                    let element = Stored::new(element);
                    self.includes.accepting(&element, &mut |it| {
                        // Two elements can be one scalar.
                        if !into.contains(&it) {
                            into.push(it);
                        }
                    });
                }
            }
            Value::String(_) => {
                let tests = self.parts.iter().chain(&self.texts);
                into.extend(
                    tests
                        .filter(|(test, _)| test.accepts(Some(stored), now))
                        .map(|(_, predicate)| *predicate),
                );
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                self.includes.accepting(stored, &mut |it| into.push(it));
            }
        }
        if !self.windows.is_empty()
            && let Some(moment) = stored.moment()
        {
            let within =
                |window: &&WindowOfColumn| (window.bounds.0..=window.bounds.1).contains(&moment);
            into.extend(self.windows.iter().filter(within).map(|it| it.predicate));
        }
    }

    /// Of tests in an order just those change whose operand lies between the old value and the new.
    fn changes_of_orders(
        &self,
        old: Option<&Stored<'_>>,
        new: Option<&Stored<'_>>,
        changed: &mut Vec<PredicateId>,
    ) {
        if !self.above.is_empty() || !self.below.is_empty() {
            let (old, new) = (old.and_then(Stored::number), new.and_then(Stored::number));
            // `above` is true of a beginning of the list, `below` of an end of it.
            let above = |number: Option<&Decimal>| {
                number.map_or(0, |number| {
                    self.above.partition_point(|((operand, strict), _)| {
                        operand < number || (operand == number && !strict)
                    })
                })
            };
            let below = |number: Option<&Decimal>| {
                number.map_or(self.below.len(), |number| {
                    self.below.partition_point(|((operand, included), _)| {
                        operand < number || (operand == number && !included)
                    })
                })
            };
            between(&self.above, above(old), above(new), changed);
            between(&self.below, below(old), below(new), changed);
        }
        if !self.after.is_empty() || !self.before.is_empty() {
            let (old, new) = (old.and_then(Stored::moment), new.and_then(Stored::moment));
            let after = |moment: Option<Moment>| {
                moment.map_or(0, |moment| {
                    self.after.partition_point(|(operand, _)| *operand < moment)
                })
            };
            let before = |moment: Option<Moment>| {
                moment.map_or(self.before.len(), |moment| {
                    self.before
                        .partition_point(|(operand, _)| *operand <= moment)
                })
            };
            between(&self.after, after(old), after(new), changed);
            between(&self.before, before(old), before(new), changed);
        }
    }
}

fn insert<K: Ord>(list: &mut Ascending<K>, key: K, predicate: PredicateId) {
    let place = list.partition_point(|(held, _)| *held < key);
    list.insert(place, (key, predicate));
}

fn between<K>(list: &[(K, PredicateId)], old: usize, new: usize, changed: &mut Vec<PredicateId>) {
    let range = old.min(new)..old.max(new);
    changed.extend(list[range].iter().map(|(_, predicate)| *predicate));
}

impl ByScalar {
    fn add(&mut self, scalar: &types::filter::Scalar, predicate: PredicateId) {
        self.by_text.insert(scalar.text().to_owned(), predicate);
        if let Some(number) = scalar.number() {
            self.by_number
                .entry(number.clone())
                .or_default()
                .push(predicate);
        }
    }

    fn remove(&mut self, scalar: &types::filter::Scalar, predicate: PredicateId) {
        self.by_text.remove(scalar.text());
        if let Some(number) = scalar.number()
            && let Some(held) = self.by_number.get_mut(number)
        {
            held.retain(|it| *it != predicate);
            if held.is_empty() {
                self.by_number.remove(number);
            }
        }
    }

    fn accepting(&self, stored: &Stored<'_>, found: &mut impl FnMut(PredicateId)) {
        let by_text = |text: &str| self.by_text.get(text).copied();
        match stored.value() {
            Value::String(text) => by_text(text).into_iter().for_each(found),
            Value::Bool(flag) => by_text(if *flag { "true" } else { "false" })
                .into_iter()
                .for_each(found),
            Value::Number(_) if !self.by_number.is_empty() => {
                let held = stored.number().and_then(|it| self.by_number.get(it));
                held.into_iter().flatten().copied().for_each(found);
            }
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use types::filter::{Group, Rule, RuleLimits};

    use super::*;

    fn tests() -> Vec<Test> {
        let operands = [
            ("EQ", "10"),
            ("EQ", "10.0"),
            ("EQ", "true"),
            ("EQ", "abc"),
            ("INCLUDES", "10"),
            ("INCLUDES", "b"),
            ("CONTAINS", "1"),
            ("STARTS_WITH", "a"),
            ("ENDS_WITH", "c"),
            ("GT", "10"),
            ("GTE", "10"),
            ("GTE", "9.5"),
            ("LT", "10"),
            ("LTE", "10"),
            ("LTE", "11"),
            ("IS_AFTER", "10"),
            ("IS_BEFORE", "10"),
            ("IS_BEFORE", "2026-01-01"),
            ("WITHIN_LAST", "PT5S"),
            ("WITHIN_NEXT", "PT5S"),
            ("EXISTS", "true"),
        ];
        let parse = |(operator, value)| {
            let rule = json!({"operator": operator, "path": "a", "value": value});
            let group = Group::parse(&rule, None, RuleLimits::STORED).unwrap();
            match &group.rules[0] {
                Rule::Attribute(condition) => condition.tests[0].clone(),
                Rule::Group(_) | Rule::Not(_) | Rule::Member(_) => unreachable!(),
            }
        };
        operands.into_iter().map(parse).collect()
    }

    fn value() -> impl Strategy<Value = Option<Value>> {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        proptest::option::of(proptest::sample::select(vec![
            json!("10"),
            json!(10),
            number("10.0"),
            number("1e1"),
            json!(9),
            json!(11.5),
            json!(12),
            json!(true),
            json!("true"),
            json!("abc"),
            json!(["b", "b", 10]),
            json!([number("10.00"), "abc"]),
            json!({"b": 10}),
            json!("2025-12-31"),
            json!("1970-01-01T00:00:13Z"),
        ]))
    }

    proptest! {
        /// Exactly the tests whose outcome changes are found, each once.
        #[test]
        fn changes_are_those_that_asking_every_test_finds(old in value(), new in value(), left_out in any::<u32>()) {
            let now = Timestamp(11_000_000_000);
            let mut column = TestsOfColumn::default();
            let mut expected = Vec::new();
            for (number, test) in (0_u32..).zip(tests()) {
                let predicate = PredicateId(number);
                column.add(&test, predicate, now);
                if left_out >> number & 1 == 1 {
                    column.remove(&test, predicate);
                    continue;
                }
                let accepts = |value: &Option<Value>| {
                    test.accepts(value.as_ref().map(Stored::new).as_ref(), now)
                };
                if accepts(&old) != accepts(&new) {
                    expected.push(predicate);
                }
            }
            let mut changed = Vec::new();
            column.changes(old.as_ref(), new.as_ref(), now, &mut changed);
            changed.sort_unstable();
            prop_assert_eq!(changed, expected);
        }
    }
}
