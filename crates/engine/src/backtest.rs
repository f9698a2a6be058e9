use std::iter::Peekable;
use std::ops::ControlFlow;

use events::{Envelope, Event};
use projections::ReadModels;
use types::filter::Group;
use types::{Position, Timestamp};

use crate::history::{History, HistoryError};
use crate::replay::{Until, each_piece};
use crate::snapshots::Snapshots;

/// How many people a rule would have matched at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacktestPoint {
    pub at: Timestamp,
    /// The last event before, or at that time.
    pub position: Position,
    pub count: u64,
}

impl History {
    /// How many people the rule would have matched at each of these times, ascending. The log is folded
    /// once, from the nearest snapshot before the first, into a state that nobody else sees; what the
    /// rule asks for is kept up to date with it. Nothing if nobody wants to know any more.
    pub fn backtest(
        &self,
        snapshots: &Snapshots,
        rule: &Group,
        times: impl Iterator<Item = Timestamp>,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<BacktestPoint>>, HistoryError> {
        let mut times = times.peekable();
        let Some(first) = times.peek().copied() else {
            return Ok(Some(Vec::new()));
        };
        let go_on = || {
            if still_wanted() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let until = Until::Time(first);
        let rebuilt = self.rebuild(snapshots, until, &mut |_| go_on())?;
        let models = rebuilt.read_models;
        let _prepared = models.prepare(rule, still_wanted);
        let mut counting = Counting {
            rule,
            times,
            models: &models,
            position: models.checkpoint(),
            points: Vec::new(),
            still_wanted,
        };
        // The end of what is durable, and shown, now: what is written meanwhile is not counted.
        let end = self.read_models.checkpoint();
        each_piece(&self.store, counting.position.next(), |piece| {
            counting.fold(piece, end);
            let is_done = counting.times.peek().is_none();
            Ok(if is_done {
                ControlFlow::Break(())
            } else {
                go_on()
            })
        })?;
        counting.count_until(Timestamp(u64::MAX));
        Ok(still_wanted().then_some(counting.points))
    }
}

struct Counting<'a, T: Iterator<Item = Timestamp>> {
    rule: &'a Group,
    /// Those at which nobody was counted yet.
    times: Peekable<T>,
    models: &'a ReadModels,
    position: Position,
    points: Vec<BacktestPoint>,
    still_wanted: &'a dyn Fn() -> bool,
}

impl<T: Iterator<Item = Timestamp>> Counting<'_, T> {
    fn fold(&mut self, piece: Vec<Envelope>, end: Position) {
        let mut waiting: Vec<Envelope> = Vec::new();
        for envelope in piece {
            if envelope.position > end {
                break;
            }
            if self
                .times
                .peek()
                .is_some_and(|it| *it < envelope.recorded_at)
            {
                self.models.apply(&waiting, &[]);
                waiting.clear();
                self.count_until(envelope.recorded_at);
            }
            self.position = envelope.position;
            if may_matter(&envelope.event) {
                waiting.push(envelope);
            }
        }
        self.models.apply(&waiting, &[]);
    }

    /// Counts at every time before this one.
    fn count_until(&mut self, end: Timestamp) {
        while let Some(at) = self.times.next_if(|it| *it < end) {
            let preview = self.models.preview(self.rule, at, 0, self.still_wanted);
            self.points.push(BacktestPoint {
                at,
                position: self.position,
                count: preview.map_or(0, |(preview, _)| preview.count),
            });
        }
    }
}

/// Whether rules can ask about it. With the others nothing changes that is counted.
fn may_matter(event: &Event) -> bool {
    match event {
        Event::Subject(_)
        | Event::Profile(_)
        | Event::List(_)
        | Event::ListMember(_)
        | Event::Audience(_)
        | Event::Tenant(_)
        | Event::TenantMember(_)
        | Event::Clock(_)
        | Event::Track(_) => true,
        Event::Section(_)
        | Event::Topic(_)
        | Event::PreferencePage(_)
        | Event::Preference(_)
        | Event::Token(_)
        | Event::Brand(_)
        | Event::Key(_)
        | Event::Request(_)
        | Event::Webhook(_)
        | Event::Message(_)
        | Event::Bulk(_)
        | Event::Template(_)
        | Event::Inbox(_) => false,
    }
}
