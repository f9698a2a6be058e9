use std::borrow::Cow;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};
use roaring::RoaringBitmap;
use serde_json::{Map, Value};
use types::filter::{Moment, NumberOrder, Scalar, Stored, Test, TimeOrder};
use types::{AttributePath, Decimal, Timestamp};

use super::rows::{Rows, Union};
use super::sorted::{Sorted, number_key, time_key};

/// One attribute of everybody: each distinct value once, with the rows that hold it, and for every
/// row which one it holds.
///
/// Values that no test can tell apart are one value: numbers that are written differently, and all
/// objects.
#[derive(Debug)]
pub(super) struct Column {
    path: AttributePath,
    entries: Vec<Entry>,
    free: Vec<u32>,
    lookup: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// By row: the entry plus one, 0 where there is none.
    of_row: Vec<u32>,
    exists: RoaringBitmap,
    /// Rows that hold a string.
    strings: u64,
    /// Kept once somebody has asked for an order.
    numbers: Option<Sorted>,
    times: Option<Sorted>,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    /// Of the value; working it out reads numbers digit by digit.
    hash: u64,
    rows: Rows,
}

/// The orders in which a column can be asked for ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub(super) numbers: bool,
    pub(super) times: bool,
}

impl Orders {
    /// What the test needs to be answered without looking at every value.
    pub(super) fn of(test: &Test) -> Self {
        Self {
            numbers: matches!(test, Test::Number(..)),
            times: matches!(test, Test::Time(..) | Test::Within(..)),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            numbers: self.numbers || other.numbers,
            times: self.times || other.times,
        }
    }

    pub(super) fn covers(self, other: Self) -> bool {
        self.and(other) == self
    }
}

impl Column {
    pub(super) fn new(path: AttributePath) -> Self {
        Self {
            path,
            entries: Vec::new(),
            free: Vec::new(),
            lookup: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            of_row: Vec::new(),
            exists: RoaringBitmap::new(),
            strings: 0,
            numbers: None,
            times: None,
        }
    }

    pub(super) fn path(&self) -> &AttributePath {
        &self.path
    }

    pub(super) fn orders(&self) -> Orders {
        Orders {
            numbers: self.numbers.is_some(),
            times: self.times.is_some(),
        }
    }

    /// Prepares for ranges in these orders.
    pub(super) fn keep(&mut self, orders: Orders) {
        let live = || {
            let ids = 0_u32..;
            ids.zip(&self.entries)
                .filter(|(_, entry)| !entry.value.is_null())
        };
        let rows_of = |entry: u32| &self.entries[entry as usize].rows;
        let number = |(id, entry): (u32, &Entry)| Some((key_of_number(&entry.value)?, id));
        let time = |(id, entry): (u32, &Entry)| Some((key_of_time(&entry.value)?, id));
        let numbers = (orders.numbers && self.numbers.is_none())
            .then(|| Sorted::build(live().filter_map(number).collect(), rows_of));
        let times = (orders.times && self.times.is_none())
            .then(|| Sorted::build(live().filter_map(time).collect(), rows_of));
        self.numbers = numbers.or_else(|| self.numbers.take());
        self.times = times.or_else(|| self.times.take());
    }

    pub(super) fn value(&self, row: u32) -> Option<&Value> {
        let entry = self.of_row.get(row as usize)?.checked_sub(1)?;
        Some(&self.entries[entry as usize].value)
    }

    /// Takes over what the profile holds at the path; an absent profile holds nothing. If that is
    /// something new, `changing` sees the old value and the new one.
    pub(super) fn update(
        &mut self,
        row: u32,
        profile: Option<&Map<String, Value>>,
        changing: impl FnOnce(Option<&Value>, Option<&Value>),
    ) {
        let new = profile.and_then(|profile| self.path.resolve(profile));
        let old = self
            .of_row
            .get(row as usize)
            .and_then(|held| held.checked_sub(1));
        let hash = new.map_or(0, |new| hash_of(&self.hasher, new));
        let known = new.and_then(|new| self.find(hash, new));
        if old == known && new.is_some() == known.is_some() {
            return;
        }
        changing(self.value(row), new);
        if let Some(old) = old {
            self.take(row, old);
        }
        if let Some(new) = new {
            let entry = known.unwrap_or_else(|| self.enter(hash, new, row));
            self.give(row, entry);
        }
    }

    fn give(&mut self, row: u32, entry: u32) {
        let index = row as usize;
        if self.of_row.len() <= index {
            self.of_row.resize(index + 1, 0);
        }
        self.of_row[index] = entry + 1;
        self.exists.insert(row);
        self.entries[entry as usize].rows.insert(row);
        let value = &self.entries[entry as usize].value;
        self.strings += u64::from(value.is_string());
        let rows_of = |entry: u32| &self.entries[entry as usize].rows;
        if let (Some(numbers), Some(key)) = (&mut self.numbers, key_of_number(value)) {
            numbers.add(key, entry, row, rows_of);
        }
        if let (Some(times), Some(key)) = (&mut self.times, key_of_time(value)) {
            times.add(key, entry, row, rows_of);
        }
    }

    fn take(&mut self, row: u32, entry: u32) {
        self.of_row[row as usize] = 0;
        self.exists.remove(row);
        let Entry { value, hash, rows } = &mut self.entries[entry as usize];
        let emptied = rows.remove(row);
        self.strings -= u64::from(value.is_string());
        if let (Some(numbers), Some(key)) = (&mut self.numbers, key_of_number(value)) {
            numbers.remove(key, entry, row, emptied);
        }
        if let (Some(times), Some(key)) = (&mut self.times, key_of_time(value)) {
            times.remove(key, entry, row, emptied);
        }
        if emptied {
            if let Ok(found) = self.lookup.find_entry(*hash, |held| *held == entry) {
                found.remove();
            }
            self.entries[entry as usize].value = Value::Null;
            self.free.push(entry);
        }
    }

    fn find(&self, hash: u64, value: &Value) -> Option<u32> {
        let same = |entry: &u32| indistinguishable(&self.entries[*entry as usize].value, value);
        self.lookup.find(hash, same).copied()
    }

    fn enter(&mut self, hash: u64, value: &Value, row: u32) -> u32 {
        let value = match value {
            Value::Object(_) => Value::Object(Map::new()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => value.clone(),
        };
        let rows = Rows::One(row);
        let entry = Entry { value, hash, rows };
        let id = if let Some(id) = self.free.pop() {
            self.entries[id as usize] = entry;
            id
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        };
        let rehash = |id: &u32| self.entries[*id as usize].hash;
        self.lookup.insert_unique(hash, id, rehash);
        id
    }

    /// The rows whose value the test accepts.
    pub(super) fn rows_where(&self, test: &Test, now: Timestamp) -> Cow<'_, RoaringBitmap> {
        match (test, &self.numbers, &self.times) {
            (Test::Exists, _, _) => Cow::Borrowed(&self.exists),
            (Test::Equals(scalar), _, _) => self.rows_equal_to(scalar),
            (Test::Number(order, operand), Some(numbers), _) => {
                let key = Some(number_key(operand.approximate()));
                let (from, to) = match order {
                    NumberOrder::Greater | NumberOrder::GreaterOrEqual => (key, None),
                    NumberOrder::Less | NumberOrder::LessOrEqual => (None, key),
                };
                Cow::Owned(self.range(numbers, from, to, test, now))
            }
            (Test::Time(order, operand), _, Some(times)) => {
                let key = Some(time_key(operand.milliseconds()));
                let (from, to) = match order {
                    TimeOrder::After => (key, None),
                    TimeOrder::Before => (None, key),
                };
                Cow::Owned(self.range(times, from, to, test, now))
            }
            (Test::Within(direction, window), _, Some(times)) => {
                let (first, last) = window.bounds(*direction, now);
                let key = |moment: Moment| Some(time_key(moment.milliseconds()));
                Cow::Owned(self.range(times, key(first), key(last), test, now))
            }
            _ => {
                let mut union = Union::default();
                let live = self.entries.iter().filter(|entry| !entry.value.is_null());
                live.filter(|entry| test.accepts(Some(&Stored::new(&entry.value)), now))
                    .for_each(|entry| union.add(&entry.rows));
                Cow::Owned(union.finish())
            }
        }
    }

    fn range(
        &self,
        sorted: &Sorted,
        from: Option<u64>,
        to: Option<u64>,
        test: &Test,
        now: Timestamp,
    ) -> RoaringBitmap {
        let entry = |entry: u32| &self.entries[entry as usize];
        sorted.range(
            from,
            to,
            |id| &entry(id).rows,
            |id| test.accepts(Some(&Stored::new(&entry(id).value)), now),
        )
    }

    fn rows_equal_to(&self, scalar: &Scalar) -> Cow<'_, RoaringBitmap> {
        let find = |value: &Value| self.find(hash_of(&self.hasher, value), value);
        let text = Value::from(scalar.text());
        let flag = scalar.text().parse::<bool>().ok().map(Value::from);
        let found = [
            find(&text),
            scalar.number().and_then(|number| self.find_number(number)),
            flag.as_ref().and_then(find),
        ];
        let mut found = found.into_iter().flatten();
        match (found.next(), found.next()) {
            (None, _) => Cow::default(),
            (Some(one), None) => match &self.entries[one as usize].rows {
                Rows::Many(rows) => Cow::Borrowed(rows),
                Rows::One(row) => Cow::Owned(RoaringBitmap::from_iter([*row])),
            },
            (Some(one), Some(other)) => {
                let mut union = Union::default();
                union.add(&self.entries[one as usize].rows);
                union.add(&self.entries[other as usize].rows);
                Cow::Owned(union.finish())
            }
        }
    }

    fn find_number(&self, number: &Decimal) -> Option<u32> {
        let hash = hash_of_number(&self.hasher, number);
        let same = |entry: &u32| {
            let value = &self.entries[*entry as usize].value;
            value.is_number() && Stored::new(value).number() == Some(number)
        };
        self.lookup.find(hash, same).copied()
    }

    /// The rows with a time between the two moments, both included, and that time.
    pub(super) fn rows_between(
        &self,
        first: Moment,
        last: Moment,
        mut tell: impl FnMut(u32, Moment),
    ) {
        let Some(times) = &self.times else { return };
        let key = |moment: Moment| Some(time_key(moment.milliseconds()));
        for (_, entry) in times.entries(key(first), key(last)) {
            let Entry { value, rows, .. } = &self.entries[entry as usize];
            let held = Moment::read(value).filter(|held| first <= *held && *held <= last);
            if let Some(held) = held {
                match rows {
                    Rows::One(row) => tell(*row, held),
                    Rows::Many(rows) => rows.iter().for_each(|row| tell(row, held)),
                }
            }
        }
    }

    /// The earliest time that any row holds from this moment on.
    pub(super) fn first_from(&self, moment: Moment) -> Option<Moment> {
        let times = self.times.as_ref()?;
        let mut earliest: Option<(u64, Moment)> = None;
        for (key, entry) in times.entries(Some(time_key(moment.milliseconds())), None) {
            // Within one key the entries are in no order, so all of them are looked at.
            if earliest.is_some_and(|(found, _)| key > found) {
                break;
            }
            let found = Moment::read(&self.entries[entry as usize].value);
            if let Some(found) = found.filter(|found| *found >= moment)
                && earliest.is_none_or(|(_, earliest)| found < earliest)
            {
                earliest = Some((key, found));
            }
        }
        earliest.map(|(_, moment)| moment)
    }

    /// Rows that hold something which the test cannot read.
    pub(super) fn unreadable(&self, test: &Test) -> u64 {
        let all = self.exists.len();
        match test {
            Test::Exists | Test::Equals(_) | Test::Includes(_) => 0,
            Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => all - self.strings,
            Test::Number(..) => self
                .numbers
                .as_ref()
                .map_or(0, |numbers| all - numbers.rows()),
            Test::Time(..) | Test::Within(..) => {
                self.times.as_ref().map_or(0, |times| all - times.rows())
            }
        }
    }
}

fn key_of_number(value: &Value) -> Option<u64> {
    Some(number_key(Stored::new(value).number()?.approximate()))
}

fn key_of_time(value: &Value) -> Option<u64> {
    Some(time_key(Moment::read(value)?.milliseconds()))
}

fn indistinguishable(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(_), Value::Object(_)) => true,
        (Value::Number(a), Value::Number(b)) => {
            a == b || Decimal::of(a).is_some_and(|a| Some(a) == Decimal::of(b))
        }
        _ => a == b,
    }
}

fn hash_of(hasher: &DefaultHashBuilder, value: &Value) -> u64 {
    let mut state = hasher.build_hasher();
    match value {
        Value::Null => 0_u8.hash(&mut state),
        Value::Bool(flag) => (1_u8, flag).hash(&mut state),
        Value::Number(number) => match Decimal::of(number) {
            Some(number) => return hash_of_number(hasher, &number),
            None => (2_u8, number.as_str()).hash(&mut state),
        },
        Value::String(text) => (3_u8, text).hash(&mut state),
        Value::Array(_) => (4_u8, value.to_string()).hash(&mut state),
        Value::Object(_) => 5_u8.hash(&mut state),
    }
    state.finish()
}

fn hash_of_number(hasher: &DefaultHashBuilder, number: &Decimal) -> u64 {
    hasher.hash_one((6_u8, number))
}
