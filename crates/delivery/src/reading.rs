use engine::{EventsQuery, History, HistoryError, Outline};
use projections::{MembershipStep, StepPlace};
use types::{PageLimit, Position};

use crate::pending::{Lane, Waiting, What};
use crate::topics::Topics;

/// What is to be told next, in order, and how far that goes.
pub(crate) struct Piece {
    pub(crate) items: Vec<(StepPlace, Waiting)>,
    pub(crate) through: StepPlace,
}

/// Reads on after a place, up to the head or until there are as many as asked for.
pub(crate) fn read(
    history: &History,
    topics: &Topics,
    after: StepPlace,
    head: Position,
    at_most: usize,
    still_wanted: &dyn Fn() -> bool,
) -> Result<Piece, HistoryError> {
    let (outlines, end) = if topics.events.is_empty() {
        (Vec::new(), head)
    } else {
        let query = EventsQuery {
            event_types: topics.events.clone(),
            after: Some(after.position),
            limit: PageLimit::clamped(at_most as u64),
            ..EventsQuery::default()
        };
        let page = history.outlines(&query, still_wanted)?;
        (page.items, page.through.max(after.position))
    };
    let (steps, mut through) = if topics.tells_of_audiences() {
        let of = topics.audience.as_ref();
        let steps = history.membership_steps(after, end, of, at_most, still_wanted)?;
        (steps.items, steps.through)
    } else {
        (Vec::new(), after.max(StepPlace::after(end)))
    };
    let events = outlines.iter().map(of_event);
    let wanted = |step: &MembershipStep| {
        if step.joined {
            topics.joined
        } else {
            topics.left
        }
    };
    let mut items: Vec<_> = events
        .chain(steps.into_iter().filter(wanted).map(of_step))
        .filter(|(place, _)| *place <= through)
        .collect();
    items.sort_by_key(|(place, _)| *place);
    if items.len() > at_most {
        items.truncate(at_most);
        through = items.last().map_or(through, |(place, _)| *place);
    }
    Ok(Piece { items, through })
}

/// What was pending when it was written down, as it waits now.
pub(crate) fn waiting_again(
    history: &History,
    place: StepPlace,
    what: What,
    failed: u32,
) -> Result<Option<Waiting>, HistoryError> {
    let lanes = match &what {
        What::Membership { subject, .. } => vec![Lane::Person(*subject)],
        What::Event => {
            let query = EventsQuery {
                after: Some(Position(place.position.0.saturating_sub(1))),
                before: Some(place.position.next()),
                ..EventsQuery::default()
            };
            let page = history.outlines(&query, &|| true)?;
            let Some(outline) = page.items.into_iter().next() else {
                return Ok(None);
            };
            lanes_of(&outline)
        }
    };
    let waiting = Waiting::new(what, lanes);
    Ok(Some(Waiting { failed, ..waiting }))
}

fn of_event(outline: &Outline) -> (StepPlace, Waiting) {
    let place = StepPlace {
        position: outline.position,
        part: 0,
    };
    (place, Waiting::new(What::Event, lanes_of(outline)))
}

fn of_step(step: MembershipStep) -> (StepPlace, Waiting) {
    let place = step.place();
    let subject = step.subject.0;
    let what = What::Membership {
        audience: step.audience,
        subject,
        joined: step.joined,
        version: step.version,
    };
    (place, Waiting::new(what, vec![Lane::Person(subject)]))
}

fn lanes_of(outline: &Outline) -> Vec<Lane> {
    if outline.subjects.is_empty() {
        return vec![Lane::Stream(outline.stream.clone())];
    }
    let people = outline.subjects.iter();
    people.map(|subject| Lane::Person(subject.0)).collect()
}
