use std::sync::Arc;
use std::time::Duration;

use api::ApiState;
use engine::{Command, Engine, ExecuteError, Origin};
use projections::ReadModels;
use tokio::time::MissedTickBehavior;
use types::{Clock as _, SystemClock};

/// How long a relative window, or the expiry of a device token, may be behind when nothing else
/// happens.
const TICK: Duration = Duration::from_millis(500);

/// Has the log take note that time has passed, whenever that changes a relative window for somebody or
/// lets a device token expire, and no other event has done so. Writes nothing while neither is so.
///
/// Has the log note, too, which keys were used.
pub(crate) async fn tick(engine: Engine, read_models: Arc<ReadModels>, state: ApiState) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Whoever asks passes over expired tokens, and need not for long.
        while read_models.tokens.sweep() {
            tokio::task::yield_now().await;
        }
        state.tidy();
        let used = state.uses_to_note();
        if !used.is_empty() {
            let noted = engine.execute(Command::NoteKeyUse(used), Origin::clock());
            if let Err(ExecuteError::Stopped) = noted.await {
                return;
            }
        }
        let now = SystemClock.now();
        if !read_models.time_matters(now) {
            continue;
        }
        // A full queue is full of writes, each of which moves the clock.
        let outcome = engine.execute(Command::AdvanceClock, Origin::clock());
        if let Err(ExecuteError::Stopped) = outcome.await {
            return;
        }
    }
}
