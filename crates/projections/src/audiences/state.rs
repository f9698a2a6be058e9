use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use roaring::RoaringBitmap;
use types::filter::Moment;
use types::{AudienceId, TenantId, Timestamp};

use super::audience::{Audience, Former};
use super::columns::Columns;
use super::joined::{Occasion, SingleJoins};
use super::predicates::{PredicateId, Predicates};
use super::recent::Recent;
use super::scratch::Scratch;
use crate::attributes::Attributes;
use crate::lists::State as Lists;
use crate::tenants::State as Tenants;

/// No time that anybody will see.
pub(super) const NEVER: Moment = Moment::LATEST;

/// Everything that is known about audiences, as of the last event.
#[derive(Debug)]
pub(crate) struct State {
    /// Place and time of the last event; its time is the present of windows.
    pub(super) last: Occasion,
    /// Everybody with a stored profile.
    pub(super) population: RoaringBitmap,
    /// By row, when the profile came to be; of no meaning for others.
    pub(super) arrivals: Vec<Occasion>,
    pub(super) numbers: BTreeMap<AudienceId, u32>,
    /// By number; nothing where an audience was deleted.
    pub(super) audiences: Vec<Option<Box<Audience>>>,
    /// Those that were deleted, by id, the latest of each.
    pub(super) former: HashMap<AudienceId, VecDeque<Former>>,
    pub(super) columns: Columns,
    pub(super) predicates: Predicates,
    /// Columns with predicates by which others are reached only.
    pub(super) access_columns: BTreeMap<u32, usize>,
    /// The audiences that predicates ask about, where there are such.
    pub(super) targets: HashMap<PredicateId, u32>,
    /// Audiences that hold of people of whom nothing is true.
    pub(super) held_by_default: BTreeSet<u32>,
    /// The parent of every tenant that has one, as of the event before the one that is being folded.
    pub(super) parents: HashMap<TenantId, TenantId>,
    pub(super) single_joins: SingleJoins,
    pub(super) recent: Recent,
    /// Before this no window changes for anybody.
    pub(super) next_crossing: Moment,
    pub(super) scratch: Scratch,
}

impl Default for State {
    fn default() -> Self {
        Self {
            last: Occasion::default(),
            population: RoaringBitmap::new(),
            arrivals: Vec::new(),
            numbers: BTreeMap::new(),
            audiences: Vec::new(),
            former: HashMap::new(),
            columns: Columns::default(),
            predicates: Predicates::default(),
            access_columns: BTreeMap::new(),
            targets: HashMap::new(),
            held_by_default: BTreeSet::new(),
            parents: HashMap::new(),
            single_joins: SingleJoins::default(),
            recent: Recent::default(),
            next_crossing: NEVER,
            scratch: Scratch::default(),
        }
    }
}

/// What the other read models know, all of it as of the event that is being folded.
#[derive(Clone, Copy)]
pub(crate) struct Others<'a> {
    pub(crate) attributes: Attributes<'a>,
    pub(crate) sets: Sets<'a>,
}

/// Where it is known who is subscribed to what and who is a member of what.
#[derive(Clone, Copy)]
pub(crate) struct Sets<'a> {
    pub(crate) lists: &'a Lists,
    pub(crate) tenants: &'a Tenants,
}

impl State {
    pub(super) fn audience(&self, number: u32) -> &Audience {
        self.audiences[number as usize]
            .as_deref()
            .expect("only audiences that exist are looked at")
    }

    pub(super) fn rank(&self, number: u32) -> u32 {
        self.audience(number).rank
    }

    /// Since when the member is in the audience.
    pub(super) fn joined(&self, audience: &Audience, number: u32, row: u32) -> Occasion {
        if self.single_joins.rows().contains(row)
            && let Some(joined) = self.single_joins.get(row, number)
        {
            return joined;
        }
        let cohort = audience.cohorts.iter().find(|it| it.rows.contains(row));
        if let Some(cohort) = cohort {
            return cohort.joined;
        }
        // From the beginning: of the audience or of the profile, whichever came later.
        let arrived = self.arrivals.get(row as usize).copied();
        arrived.unwrap_or_default().max(audience.created)
    }

    /// To be called when a column or a window may have brought the next crossing nearer.
    pub(super) fn windows_may_have_changed(&mut self) {
        self.next_crossing = Moment::from(Timestamp(0));
    }

    /// When the next window may change for somebody, if ever.
    pub(crate) fn next_crossing(&self) -> Option<Timestamp> {
        let any = self.columns.windowed().next().is_some();
        any.then(|| self.next_crossing.to_timestamp())
    }

    /// Whether at that time some window has changed for somebody since the last event.
    pub(crate) fn window_changes_by(&self, now: Timestamp) -> bool {
        let slots = self
            .columns
            .windowed()
            .filter_map(|it| self.columns.slot(it));
        let mut changes = false;
        for slot in slots {
            let Some(column) = &slot.column else { continue };
            for window in slot.tests.windows() {
                window.crossing(column, now, |_| changes = true);
            }
        }
        changes
    }
}
