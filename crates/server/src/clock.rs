use std::sync::Arc;
use std::time::Duration;

use engine::{Command, Engine, ExecuteError, Origin};
use projections::ReadModels;
use tokio::time::MissedTickBehavior;
use types::{Clock as _, SystemClock};

/// How long a relative window may be behind when nothing else happens.
const TICK: Duration = Duration::from_millis(500);

/// Has the log take note that time has passed, whenever that changes a relative window for somebody
/// and no other event has done so. Does nothing, and writes nothing, while no window changes.
pub(crate) async fn tick(engine: Engine, read_models: Arc<ReadModels>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = SystemClock.now();
        let audiences = &read_models.audiences;
        let may_change = audiences.next_crossing().is_some_and(|next| next <= now);
        if !may_change || !audiences.window_changes_by(now) {
            continue;
        }
        // A full queue is full of writes, each of which moves the clock.
        let outcome = engine.execute(Command::AdvanceClock, Origin::default());
        if let Err(ExecuteError::Stopped) = outcome.await {
            return;
        }
    }
}
