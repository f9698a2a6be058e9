use std::collections::{BTreeMap, BTreeSet};

use events::{MessageTarget, TargetProblem};
use types::{MessageReason, SubjectId, TenantId};

use crate::evaluate::{Asked, Evaluator, Prediction};
use crate::spec::Spec;

/// What would become of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// How many people, by status, reason and what decided it.
    pub counts: BTreeMap<(&'static str, Option<&'static str>, String), u64>,
    pub people: u64,
    /// Some of them, in the order of their numbers; those who are not known yet first.
    pub page: Vec<ForeseenPerson>,
    /// Whether there are more.
    pub more: bool,
    pub problems: Vec<TargetProblem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeseenPerson {
    /// Nothing of somebody who is not known yet.
    pub subject: Option<SubjectId>,
    /// Place of the target, from 0.
    pub target: u32,
    pub prediction: Prediction,
}

/// Of whom a forecast is to speak.
#[derive(Clone, Copy, Default)]
pub struct Page {
    /// Those with higher numbers.
    pub after: Option<SubjectId>,
    pub limit: usize,
}

/// People who are looked at before it is asked again whether anybody wants to know.
const BETWEEN_LOOKS: usize = 256;

impl Evaluator<'_> {
    /// What would become of the message if it were sent now and every provider took what it is given.
    /// `named` are the people whom it names, nothing for each who is not known. Nothing if nobody wants to
    /// know any more. Blocks, for as long as writing it to everybody takes.
    pub fn foresee(
        &self,
        named: &[Option<SubjectId>],
        page: Page,
        still_wanted: &dyn Fn() -> bool,
    ) -> Option<Foreseen> {
        let targets = &self.spec.targets;
        let resolution = self.read_models.resolve(targets, named);
        let mut foreseen = Foreseen {
            problems: resolution.problems,
            ..Foreseen::default()
        };
        let mut seen = BTreeSet::new();
        for (place, target) in (0..).zip(targets) {
            let MessageTarget::Person(person) = target else {
                continue;
            };
            let known = named.get(person.place as usize).copied().flatten();
            if known.is_none() && seen.insert(person.place) {
                let person = self.foresee_one(None, place, None);
                foreseen.add(person, page.after.is_none(), page.limit);
            }
        }
        // Everybody is in one set only; the page is in the order of the numbers over all of them.
        let mut everybody: Vec<(u32, usize)> = Vec::new();
        for (place, resolved) in resolution.people.iter().enumerate() {
            everybody.extend(resolved.people.iter().map(|row| (row, place)));
        }
        everybody.sort_unstable();
        for people in everybody.chunks(BETWEEN_LOOKS) {
            if !still_wanted() {
                return None;
            }
            for (row, place) in people {
                let subject = SubjectId(*row);
                let resolved = &resolution.people[*place];
                let tenant = resolved.tenant.as_ref();
                let person = self.foresee_one(Some(subject), resolved.target, tenant);
                let is_shown = page.after.is_none_or(|after| subject > after);
                foreseen.add(person, is_shown, page.limit);
            }
        }
        Some(foreseen)
    }

    fn foresee_one(
        &self,
        subject: Option<SubjectId>,
        place: u32,
        tenant: Option<&TenantId>,
    ) -> ForeseenPerson {
        let target = &self.spec.targets[place as usize];
        let given = Spec::given_by(target).unwrap_or_default();
        let evaluation = self.evaluate(Asked {
            subject,
            target,
            tenant,
            given: &given,
            // It is given no id yet; content that shows it shows this.
            message_id: "dry-run",
        });
        ForeseenPerson {
            subject,
            target: place,
            prediction: evaluation.predict(),
        }
    }
}

impl Foreseen {
    fn add(&mut self, person: ForeseenPerson, is_shown: bool, limit: usize) {
        let prediction = &person.prediction;
        let reason = prediction.reason.map(MessageReason::name);
        let outcome = (prediction.status.name(), reason, prediction.because.clone());
        *self.counts.entry(outcome).or_default() += 1;
        self.people += 1;
        if is_shown && self.page.len() < limit {
            self.page.push(person);
        } else if is_shown {
            self.more = true;
        }
    }
}
