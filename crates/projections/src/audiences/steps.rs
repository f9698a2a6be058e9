use std::collections::HashMap;
use std::sync::Arc;

use types::{AudienceId, Position, SubjectId};

use super::audience::Versions;
use super::recent::Change;
use super::state::State;

/// Somebody joined an audience or left it: of all audiences, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipStep {
    pub position: Position,
    /// Its place among those at the position: by the number of the person, in the upper 32 bits from 1, and
    /// among those of the person by the id of the audience, then as it happened. The same each time
    /// somebody asks, also when others at the position were erased since.
    pub part: u64,
    pub audience: AudienceId,
    pub subject: SubjectId,
    pub joined: bool,
    /// Of the rule that was in force.
    pub version: u32,
}

impl MembershipStep {
    pub fn place(&self) -> StepPlace {
        StepPlace {
            position: self.position,
            part: self.part,
        }
    }
}

/// A place between two steps: everything at earlier positions is before it, and at this one so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepPlace {
    pub position: Position,
    pub part: u64,
}

impl StepPlace {
    /// After everything that happened at the position.
    pub fn after(position: Position) -> Self {
        Self {
            position,
            part: u64::MAX,
        }
    }

    /// The first position of which something may follow.
    fn first(self) -> Position {
        let first = if self.part == u64::MAX {
            self.position.next()
        } else {
            self.position
        };
        // Before the first event nothing happened.
        first.max(Position::START.next())
    }
}

/// Steps that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipSteps {
    pub items: Vec<MembershipStep>,
    /// Everything up to here is in these steps, or was not asked for.
    pub through: StepPlace,
}

/// Changes that are remembered, and what the audiences in them are called. Shared with the state, so
/// that they are put in order while the writer goes on.
pub(super) struct Gathered {
    changes: Vec<Arc<Change>>,
    /// Everything up to here is among them.
    through: Position,
    names: HashMap<u32, (AudienceId, Vec<(Position, u32)>)>,
}

impl State {
    /// Whole positions after the place, up to `through` and until they hold as many steps as asked for.
    /// `None` if not all of it is remembered.
    pub(super) fn gather(
        &self,
        after: StepPlace,
        through: Position,
        at_most: usize,
    ) -> Option<Gathered> {
        let first = after.first();
        if first <= self.recent.complete_after() {
            return None;
        }
        let mut gathered = Gathered {
            changes: Vec::new(),
            through,
            names: HashMap::new(),
        };
        let (mut people, mut last) = (0, first);
        for change in self.recent.from(first) {
            let position = change.occasion().position;
            if position > through || position != last && people >= at_most as u64 {
                gathered.through = last;
                break;
            }
            last = position;
            // Those at the place itself may have been told already.
            if position > after.position {
                people += change.people();
            }
            gathered.changes.push(Arc::clone(change));
            match &**change {
                Change::Row { joined, left, .. } => {
                    for number in joined.iter().chain(left) {
                        self.name(*number, &mut gathered)?;
                    }
                }
                Change::Audience { audience, .. } => self.name(*audience, &mut gathered)?,
            }
        }
        Some(gathered)
    }

    /// Of an audience of which even the name is forgotten nothing is remembered.
    fn name(&self, number: u32, gathered: &mut Gathered) -> Option<()> {
        if gathered.names.contains_key(&number) {
            return Some(());
        }
        let present = self.audiences.get(number as usize)?.as_deref();
        let named = |id: &AudienceId, versions: &Versions| (id.clone(), versions.0.clone());
        let known = present.map(|it| named(&it.id, &it.versions)).or_else(|| {
            let mut former = self.former.iter().flat_map(|(id, former)| {
                let numbered = former.iter().filter(|it| it.number == number);
                numbered.map(move |it| named(id, &it.versions))
            });
            former.next()
        });
        gathered.names.insert(number, known?);
        Some(())
    }
}

impl Gathered {
    /// Not more steps after the place than asked for, of one audience or of all.
    pub(super) fn steps(
        &self,
        after: StepPlace,
        of: Option<&AudienceId>,
        at_most: usize,
    ) -> MembershipSteps {
        let mut steps: Vec<MembershipStep> = Vec::new();
        let position = |change: &Arc<Change>| change.occasion().position;
        for here in self.changes.chunk_by(|a, b| position(a) == position(b)) {
            let position = position(&here[0]);
            let mut all: Vec<(&AudienceId, u32, bool, u32)> = Vec::new();
            let mut note = |number: u32, row: u32, joined: bool| {
                let Some((id, versions)) = self.names.get(&number) else {
                    return;
                };
                if of.is_none_or(|of| of == id) {
                    let in_force = versions.iter().rev().find(|(from, _)| *from <= position);
                    all.push((id, row, joined, in_force.map_or(0, |(_, version)| *version)));
                }
            };
            for change in here {
                match &**change {
                    Change::Row {
                        row, joined, left, ..
                    } => {
                        left.iter().for_each(|number| note(*number, *row, false));
                        joined.iter().for_each(|number| note(*number, *row, true));
                    }
                    Change::Audience {
                        audience,
                        joined,
                        left,
                        ..
                    } => {
                        left.iter().for_each(|row| note(*audience, row, false));
                        joined.iter().for_each(|row| note(*audience, row, true));
                    }
                }
            }
            all.sort_by_key(|(id, row, ..)| (*row, *id));
            let place = |part| StepPlace { position, part };
            let of_one = all.chunk_by(|a, b| a.1 == b.1);
            let numbered = of_one.flat_map(|of_one| {
                let first = (u64::from(of_one[0].1) + 1) << 32;
                (first..).zip(of_one.iter().copied())
            });
            let following = numbered.filter(|(part, _)| place(*part) > after);
            let room = at_most - steps.len();
            let mut following = following.peekable();
            steps.extend(following.by_ref().take(room).map(
                |(part, (id, row, joined, version))| MembershipStep {
                    position,
                    part,
                    audience: id.clone(),
                    subject: SubjectId(row),
                    joined,
                    version,
                },
            ));
            if following.peek().is_some() {
                let through = steps.last().map_or(after, MembershipStep::place);
                return MembershipSteps {
                    items: steps,
                    through,
                };
            }
        }
        MembershipSteps {
            items: steps,
            through: after.max(StepPlace::after(self.through)),
        }
    }
}
