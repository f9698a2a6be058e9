use std::collections::{BTreeSet, HashMap, HashSet};

use roaring::RoaringBitmap;
use serde_json::{Map, Value};
use types::filter::{Condition, Group, Rule, Test};
use types::{AttributePath, JsonDocument, SubjectId, Timestamp, escaped_key};

use super::column::{Column, Orders};
use super::predicates::PredicateId;
use super::tests_of_column::TestsOfColumn;
use crate::attributes::Attributes;

/// Columns that no rule asks for any more, or only previews did, and that are kept for a while.
const IDLE_COLUMNS_MAX: usize = 8;

/// The columns of all paths that rules ask for.
#[derive(Debug, Default)]
pub(super) struct Columns {
    slots: Vec<Option<Slot>>,
    by_path: HashMap<String, u32>,
    /// By the member of a profile, as its text writes the key.
    by_member: HashMap<String, Vec<u32>>,
    /// Those in which somebody asks for a window.
    windowed: BTreeSet<u32>,
    /// Counts uses, so that the column longest idle is known.
    uses: u64,
}

#[derive(Debug)]
pub(super) struct Slot {
    path: AttributePath,
    /// Nothing while it is built for the first time.
    pub(super) column: Option<Column>,
    /// Rows that changed while somebody builds the column anew beside the writer.
    changed_meanwhile: Option<RoaringBitmap>,
    pub(super) tests: TestsOfColumn,
    /// Predicates that ask this column, and requests that are about to.
    users: usize,
    last_use: u64,
}

/// What a column to be built has to offer.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) path: AttributePath,
    pub(super) orders: Orders,
}

impl Wanted {
    /// Everything that the rule asks of profiles, by path.
    pub(super) fn of(rule: &Group) -> Vec<Self> {
        let mut wanted: Vec<Self> = Vec::new();
        for leaf in rule.leaves() {
            let Rule::Attribute(Condition { path, tests, .. }) = leaf else {
                continue;
            };
            let orders = tests.iter().map(Orders::of);
            let orders = orders.fold(Orders::default(), Orders::and);
            match wanted.iter_mut().find(|it| it.path == *path) {
                Some(known) => known.orders = known.orders.and(orders),
                None => wanted.push(Self {
                    path: path.clone(),
                    orders,
                }),
            }
        }
        wanted
    }
}

impl Columns {
    /// Takes over columns that were built while nothing was folded.
    pub(super) fn place(&mut self, built: Vec<Column>) {
        for column in built {
            let number = self.reserve(column.path());
            self.slot_mut(number).column = Some(column);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)?.as_ref()
    }

    fn slot_mut(&mut self, number: u32) -> &mut Slot {
        self.slots[number as usize]
            .as_mut()
            .expect("a column is kept as long as somebody uses it")
    }

    /// The column, if it is there in full.
    pub(super) fn get(&self, path: &AttributePath) -> Option<&Column> {
        let number = *self.by_path.get(path.as_str())?;
        self.slot(number)?.column.as_ref()
    }

    pub(super) fn number(&self, path: &AttributePath) -> Option<u32> {
        self.by_path.get(path.as_str()).copied()
    }

    pub(super) fn column(&self, number: u32) -> Option<&Column> {
        self.slot(number)?.column.as_ref()
    }

    /// The number of the column, which is built here and now if it is missing, and holds on to
    /// everybody in `rows`.
    pub(super) fn ensure(
        &mut self,
        path: &AttributePath,
        test: &Test,
        rows: &RoaringBitmap,
        attributes: Attributes<'_>,
    ) -> u32 {
        let number = self.reserve(path);
        let slot = self.slot_mut(number);
        let column = slot
            .column
            .get_or_insert_with(|| build(path, rows.iter(), attributes));
        column.keep(Orders::of(test));
        number
    }

    fn reserve(&mut self, path: &AttributePath) -> u32 {
        self.uses += 1;
        let uses = self.uses;
        if let Some(number) = self.by_path.get(path.as_str()).copied() {
            self.slot_mut(number).last_use = uses;
            return number;
        }
        let slot = Slot {
            path: path.clone(),
            column: None,
            changed_meanwhile: None,
            tests: TestsOfColumn::default(),
            users: 0,
            last_use: uses,
        };
        let place = self
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        self.slots[place] = Some(slot);
        self.by_path.insert(path.as_str().to_owned(), number);
        for member in path.members() {
            let columns = self.by_member.entry(escaped_key(member)).or_default();
            columns.push(number);
        }
        number
    }

    pub(super) fn add_test(
        &mut self,
        number: u32,
        test: &Test,
        predicate: PredicateId,
        now: Timestamp,
    ) {
        let slot = self.slot_mut(number);
        slot.users += 1;
        slot.tests.add(test, predicate, now);
        if matches!(test, Test::Within(..)) {
            self.windowed.insert(number);
        }
    }

    pub(super) fn remove_test(&mut self, number: u32, test: &Test, predicate: PredicateId) {
        let slot = self.slot_mut(number);
        slot.users -= 1;
        slot.tests.remove(test, predicate);
        if slot.tests.windows().is_empty() {
            self.windowed.remove(&number);
        }
        self.drop_idle();
    }

    /// Columns with windows, to be moved with the clock.
    pub(super) fn windowed(&self) -> impl Iterator<Item = u32> {
        self.windowed.iter().copied()
    }

    pub(super) fn tests_mut(&mut self, number: u32) -> &mut TestsOfColumn {
        &mut self.slot_mut(number).tests
    }

    fn drop_idle(&mut self) {
        let idle = |slot: &Slot| slot.users == 0 && slot.changed_meanwhile.is_none();
        loop {
            let slots = (0_u32..).zip(&self.slots);
            let slots = slots.filter_map(|(number, slot)| Some((number, slot.as_ref()?)));
            let idle: Vec<(u64, u32)> = slots
                .filter(|(_, slot)| idle(slot))
                .map(|(number, slot)| (slot.last_use, number))
                .collect();
            let Some((_, oldest)) = idle.iter().min().filter(|_| idle.len() > IDLE_COLUMNS_MAX)
            else {
                return;
            };
            let Some(slot) = self.slots[*oldest as usize].take() else {
                return;
            };
            self.by_path.remove(slot.path.as_str());
            for columns in self.by_member.values_mut() {
                columns.retain(|number| number != oldest);
            }
            self.by_member.retain(|_, columns| !columns.is_empty());
        }
    }

    /// The columns whose value can change with these members of a profile; `None` for all columns.
    pub(super) fn touched_by(&self, changes: Option<&JsonDocument>) -> Vec<u32> {
        let Some(changes) = changes else {
            let used = (0_u32..).zip(&self.slots);
            let used = used.filter(|(_, slot)| slot.is_some());
            return used.map(|(number, _)| number).collect();
        };
        if self.by_member.is_empty() {
            return Vec::new();
        }
        let columns = changes
            .raw_members()
            .filter_map(|(member, _)| self.by_member.get(member));
        let mut touched: Vec<u32> = columns.flatten().copied().collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// The columns of what is under one member.
    pub(super) fn of_member(&self, member: &str) -> Vec<u32> {
        let columns = self.by_member.get(member).into_iter().flatten();
        columns.copied().collect()
    }

    /// Takes over what the profile now holds at these columns, and collects the predicates that
    /// change with it.
    pub(super) fn update(
        &mut self,
        row: u32,
        touched: &[u32],
        document: Option<&JsonDocument>,
        now: Timestamp,
        changed: &mut Vec<PredicateId>,
    ) {
        if touched.is_empty() {
            return;
        }
        let is_wanted = |member: &str| {
            let columns = self.by_member.get(member);
            columns.is_some_and(|columns| columns.iter().any(|it| touched.contains(it)))
        };
        let profile = document.map(|document| document.members(is_wanted));
        for number in touched {
            let Some(slot) = self.slots[*number as usize].as_mut() else {
                continue;
            };
            if let Some(changed_meanwhile) = &mut slot.changed_meanwhile {
                changed_meanwhile.insert(row);
            }
            let tests = &slot.tests;
            if let Some(column) = &mut slot.column {
                column.update(row, profile.as_ref(), |old, new| {
                    tests.changes(old, new, now, changed);
                });
            }
        }
    }

    /// Holds on to the columns that are wanted, by number, and says what of them is not there yet:
    /// whoever asks is to build it, while the writer notes which rows change meanwhile.
    pub(super) fn pin(&mut self, wanted: &[Wanted]) -> (Vec<u32>, Vec<Wanted>) {
        let mut numbers = Vec::new();
        let mut missing = Vec::new();
        for want in wanted {
            let number = self.reserve(&want.path);
            let slot = self.slot_mut(number);
            slot.users += 1;
            numbers.push(number);
            let orders = slot.column.as_ref().map(Column::orders);
            if orders.is_none_or(|orders| !orders.covers(want.orders)) {
                slot.changed_meanwhile = Some(RoaringBitmap::new());
                missing.push(Wanted {
                    path: want.path.clone(),
                    orders: want.orders.and(orders.unwrap_or_default()),
                });
            }
        }
        (numbers, missing)
    }

    /// The reverse of [`Columns::pin`].
    pub(super) fn unpin(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.slot_mut(*number).users -= 1;
        }
        self.drop_idle();
    }

    /// Nobody builds these columns after all.
    pub(super) fn abandon(&mut self, missing: &[Wanted]) {
        for want in missing {
            let number = self.reserve(&want.path);
            self.slot_mut(number).changed_meanwhile = None;
        }
    }

    /// Puts the column that was built beside the writer into its place.
    pub(super) fn finish(&mut self, mut built: Column, attributes: Attributes<'_>) {
        let number = self.reserve(built.path());
        let slot = self.slot_mut(number);
        for row in slot.changed_meanwhile.take().into_iter().flatten() {
            let profile = profile_of(row, built.path(), attributes);
            built.update(row, profile.as_ref(), |_, _| ());
        }
        // The writer may have needed the column meanwhile, and built it itself.
        let orders = slot.column.as_ref().map(Column::orders);
        if orders.is_none_or(|orders| !orders.covers(built.orders())) {
            built.keep(orders.unwrap_or_default());
            slot.column = Some(built);
        }
    }
}

/// The column of a path over these rows, as their profiles are now.
fn build(
    path: &AttributePath,
    rows: impl Iterator<Item = u32>,
    attributes: Attributes<'_>,
) -> Column {
    let mut column = Column::new(path.clone());
    for row in rows {
        let profile = profile_of(row, path, attributes);
        column.update(row, profile.as_ref(), |_, _| ());
    }
    column
}

/// The columns of several paths over everybody, as the profiles are now. Takes long; nothing if
/// nobody wants them any more.
pub(super) fn build_all(
    wanted: &[Wanted],
    attributes: Attributes<'_>,
    still_wanted: &dyn Fn() -> bool,
) -> Option<Vec<Column>> {
    const ROWS_UNASKED: u32 = 4_096;
    const FEW: usize = 16;
    let members = wanted.iter().flat_map(|want| want.path.members());
    let members: HashSet<String> = members.map(escaped_key).collect();
    // A few names are compared faster than one is hashed.
    let few: Option<Vec<&String>> = (members.len() <= FEW).then(|| members.iter().collect());
    let is_wanted = |member: &str| match &few {
        Some(few) => few.iter().any(|it| *it == member),
        None => members.contains(member),
    };
    let mut columns: Vec<Column> = wanted
        .iter()
        .map(|want| Column::new(want.path.clone()))
        .collect();
    for row in 0..attributes.end() {
        if row.is_multiple_of(ROWS_UNASKED) && !still_wanted() {
            return None;
        }
        let Some(document) = attributes.document(SubjectId(row)) else {
            continue;
        };
        let profile = document.members(is_wanted);
        if !profile.is_empty() {
            for column in &mut columns {
                column.update(row, Some(&profile), |_, _| ());
            }
        }
    }
    for (column, want) in columns.iter_mut().zip(wanted) {
        column.keep(want.orders);
    }
    Some(columns)
}

fn profile_of(
    row: u32,
    path: &AttributePath,
    attributes: Attributes<'_>,
) -> Option<Map<String, Value>> {
    let members: Vec<String> = path.members().into_iter().map(escaped_key).collect();
    let document = attributes.document(SubjectId(row))?;
    Some(document.members(|member| members.iter().any(|it| it == member)))
}
