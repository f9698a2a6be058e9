//! Snapshots of the running server, taken beside it.

use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine::{ChunkCipher, EventStore, Rebuilt, Snapshots, Turn, Until};
use event_log::EventLog;
use projections::ReadModels;
use tokio::time::MissedTickBehavior;
use types::Position;

/// How often it is looked whether enough has happened.
const TICK: Duration = Duration::from_secs(1);

/// The snapshots of a data directory.
pub fn open_snapshots(data: &Path, store: &EventStore) -> anyhow::Result<Snapshots> {
    let directory = data.join("snapshots");
    Ok(Snapshots::open(
        directory,
        Arc::clone(&store.vault) as Arc<dyn ChunkCipher>,
    )?)
}

/// Deletes the snapshots, and lets go of states of the past, when somebody was erased. Their key is
/// destroyed already, so that what cannot be deleted cannot be read either.
pub(crate) fn forget_erased(snapshots: &Snapshots) {
    if let Err(error) = snapshots.forget_all() {
        tracing::error!(%error, "snapshots that nobody can read any more cannot be deleted");
    }
}

/// Takes a snapshot whenever so many events have happened since the last. The state that is written is
/// a second one, folded from the log: nobody waits for it, and as long as it is built and written there
/// is twice as much in memory.
pub(crate) async fn keep(
    snapshots: Arc<Snapshots>,
    store: EventStore,
    read_models: Arc<ReadModels>,
    every: NonZeroU64,
) {
    // Where a try failed the next is after as many events again, not at once.
    let mut failed = Position::START;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let head = read_models.checkpoint();
        // All may be gone since the last time, when somebody was erased.
        let newest = snapshots.positions().unwrap_or_default();
        let last = newest.last().copied().unwrap_or_default().max(failed);
        if head.0.saturating_sub(last.0) < every.get() {
            continue;
        }
        // Gone when the server stops, and with it whoever builds.
        let wanted = Arc::new(());
        let waiting = Arc::downgrade(&wanted);
        let (taken, store) = (Arc::clone(&snapshots), store.clone());
        let taking = tokio::task::spawn_blocking(move || take(&taken, &store, &waiting));
        if let Err(error) = taking.await {
            tracing::error!(%error, "taking a snapshot panicked");
        }
        let newest = snapshots.positions().unwrap_or_default();
        failed = if newest.last().is_some_and(|newest| *newest > last) {
            Position::START
        } else {
            head
        };
    }
}

/// Writes the state that a start has just built, if much had to be folded for it: nobody writes yet, so
/// it need not be built twice.
pub(crate) fn take_at_start(
    snapshots: &Snapshots,
    log: &Arc<dyn EventLog>,
    rebuilt: &Rebuilt,
    every: NonZeroU64,
) {
    let head = rebuilt.read_models.checkpoint();
    if head.0.saturating_sub(rebuilt.resumed_at().0) >= every.get() {
        write(snapshots, snapshots.turn(), log, rebuilt, &|| true);
    }
}

fn take(snapshots: &Snapshots, store: &EventStore, waiting: &Weak<()>) {
    let still_wanted = || waiting.strong_count() > 0;
    let turn = snapshots.turn();
    let go_on = &mut |_| {
        if still_wanted() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let rebuilt = match snapshots.rebuild(store, Until::Head, go_on) {
        Ok(rebuilt) => rebuilt,
        Err(error) => {
            tracing::error!(%error, "the log cannot be folded for a snapshot");
            return;
        }
    };
    write(snapshots, turn, &store.log, &rebuilt, &still_wanted);
}

fn write(
    snapshots: &Snapshots,
    turn: Turn,
    log: &Arc<dyn EventLog>,
    rebuilt: &Rebuilt,
    still_wanted: &dyn Fn() -> bool,
) {
    match snapshots.write(turn, log, rebuilt, still_wanted) {
        Ok(Some(written)) => tracing::info!(
            position = written.position.0,
            bytes = written.bytes,
            milliseconds = written.took.as_millis(),
            "a snapshot was written"
        ),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "a snapshot cannot be written"),
    }
}
