use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use event_log::Scan;
use parking_lot::{Condvar, Mutex};

use crate::TransparencyLog;
use crate::check::TileCheck;

/// Under load a checkpoint is written so often.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// How fast the scrubber reads, in bytes as stored.
const SCRUB_BYTES_PER_SECOND: u32 = 4 * 1024 * 1024;
/// Between one reading of the whole log and the next.
const SCRUB_PAUSE: Duration = Duration::from_mins(10);
/// How long anchors may take to be written at the end.
const ANCHORS_TIME_MAX: Duration = Duration::from_secs(2);

/// The threads that publish checkpoints, write anchors and scrub. None of them holds up a write.
pub struct Background {
    shared: Arc<Shared>,
    publisher: Option<JoinHandle<()>>,
    scrubber: Option<JoinHandle<()>>,
}

struct Shared {
    log: Arc<TransparencyLog>,
    stopping: Mutex<bool>,
    changed: Condvar,
}

impl Background {
    pub fn start(log: Arc<TransparencyLog>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            log,
            stopping: Mutex::new(false),
            changed: Condvar::new(),
        });
        for anchor in &shared.log.anchors {
            let anchor = Arc::clone(anchor);
            // It may hang with its disk, so nobody waits for its end without a limit.
            spawn("log-anchor", move || anchor.run())?;
        }
        shared.log.is_running.store(true, Ordering::Relaxed);
        let (publishing, scrubbing) = (Arc::clone(&shared), Arc::clone(&shared));
        Ok(Self {
            publisher: Some(spawn("log-publish", move || publishing.publish())?),
            scrubber: Some(spawn("log-scrub", move || scrubbing.scrub())?),
            shared,
        })
    }

    /// Publishes the last checkpoint, has the anchors written, and ends.
    pub fn stop(mut self) {
        self.end();
        if let Err(error) = self.shared.log.checkpoint() {
            tracing::warn!(%error, "the last checkpoint cannot be published");
        }
        let deadline = Instant::now() + ANCHORS_TIME_MAX;
        for anchor in &self.shared.log.anchors {
            if !anchor.close(deadline) {
                let path = anchor.path().display();
                tracing::warn!(%path, "the anchor has not the last checkpoint");
            }
        }
    }

    fn end(&mut self) {
        *self.shared.stopping.lock() = true;
        self.shared.changed.notify_all();
        for thread in [self.publisher.take(), self.scrubber.take()] {
            // A panic in the thread has already been reported by it.
            let _ = thread.map(JoinHandle::join);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
        for anchor in &self.shared.log.anchors {
            anchor.close(Instant::now());
        }
    }
}

impl Shared {
    fn publish(&self) {
        while self.rest(PUBLISH_EVERY) {
            let log = &self.log;
            let mended = log.mend();
            if log.is_behind()
                && let Err(error) = mended.and_then(|()| log.checkpoint())
            {
                tracing::error!(%error, "no checkpoint can be published");
            }
        }
    }

    /// Reads every record again and again, from the store and not from memory, and compares the tiles
    /// with what it read.
    fn scrub(&self) {
        loop {
            if !self.scrub_once() || !self.rest(SCRUB_PAUSE) {
                return;
            }
        }
    }

    /// Whether to go on.
    fn scrub_once(&self) -> bool {
        let (log, counts) = (&self.log, &self.log.counts);
        let mut scan = Scan::of(&*log.log);
        let mut tiles = TileCheck::of(log.directory());
        loop {
            match scan.next(&mut |leaf| tiles.leaf(leaf)) {
                Ok(Some(bytes)) => {
                    counts.scrubbed.store(scan.position().0, Ordering::Relaxed);
                    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                    let pause = Duration::from_secs(1) * bytes / SCRUB_BYTES_PER_SECOND;
                    if !self.rest(pause) {
                        return false;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let damage = scan.report(Some(error)).damage;
                    if let Some(damage) = damage {
                        let (position, what) = (damage.position.0, damage.what);
                        tracing::error!(position, what, "the log is damaged");
                        counts.damage.store(position, Ordering::Relaxed);
                    }
                    return true;
                }
            }
        }
        counts.damage.store(0, Ordering::Relaxed);
        counts.scrubs.fetch_add(1, Ordering::Relaxed);
        if let Some(damage) = tiles.damage() {
            let path = damage.path.display();
            tracing::error!(%path, damage.what, "a tile is damaged; the records are good");
            log.distrust_tiles();
        }
        tracing::info!(
            events = scan.position().0,
            tiles = tiles.checked(),
            "the log was scrubbed"
        );
        true
    }

    /// Waits so long; `false` when it is time to stop.
    fn rest(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut stopping = self.stopping.lock();
        while !*stopping {
            if self.changed.wait_until(&mut stopping, deadline).timed_out() {
                break;
            }
        }
        !*stopping
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}
