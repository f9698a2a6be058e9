use std::sync::Arc;

use providers::Providers;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For each attempt that a provider has at a time, so many people may wait for it or pause between two.
const PEOPLE_PER_ATTEMPT: usize = 8;
const PEOPLE_MIN: usize = 256;
const PEOPLE_MAX: usize = 4_096;
/// People for whom nobody outside is asked.
const PEOPLE_AT_ONCE: usize = 16_384;
/// What they may be told may take so much memory in one lane, in KiB.
const KIB_MAX: usize = 32 * 1024;

/// Where people wait who are written for: a lane for each provider, so that one that is slow or hangs keeps
/// nobody from what goes by another, and one for what needs none.
pub(crate) struct Lanes {
    at_once: Lane,
    by_provider: Vec<(&'static str, Lane)>,
}

struct Lane {
    people: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// The place of one person in a lane, until it is dropped.
pub(crate) struct Place {
    _person: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl Lanes {
    pub(crate) fn new(providers: &Providers) -> Self {
        let lanes = providers.concurrency().map(|(name, attempts)| {
            let people = attempts.saturating_mul(PEOPLE_PER_ATTEMPT);
            let people = people.clamp(PEOPLE_MIN, PEOPLE_MAX);
            (name, Lane::new(people, KIB_MAX))
        });
        Self {
            at_once: Lane::new(PEOPLE_AT_ONCE, 2 * KIB_MAX),
            by_provider: lanes.collect(),
        }
    }

    /// A place for somebody who goes by this provider first, if there is one, and is told so many bytes.
    pub(crate) fn place(&self, provider: Option<&str>, bytes: usize) -> Option<Place> {
        let mut lanes = self.by_provider.iter();
        let lane = lanes.find(|(name, _)| Some(*name) == provider);
        lane.map_or(&self.at_once, |(_, lane)| lane).place(bytes)
    }
}

impl Lane {
    fn new(people: usize, kib: usize) -> Self {
        Self {
            people: Arc::new(Semaphore::new(people)),
            kib: Arc::new(Semaphore::new(kib)),
        }
    }

    fn place(&self, bytes: usize) -> Option<Place> {
        // Whoever is told more than has room goes alone.
        let kib = u32::try_from((bytes / 1024 + 1).min(KIB_MAX)).unwrap_or(u32::MAX);
        Some(Place {
            _person: Arc::clone(&self.people).try_acquire_owned().ok()?,
            _kib: Arc::clone(&self.kib).try_acquire_many_owned(kib).ok()?,
        })
    }
}
