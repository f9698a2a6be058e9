//! What a test did and found, counted and printed.

use std::fmt;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::{Outcome, say};
use crate::random::seed;
use crate::tree::Tree;

/// Directories kept for each test's failures; more would only fill the disk.
const EVIDENCE_MAX: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Loss,
    TornGroup,
    WouldNotOpen,
    SilentDamage,
    Panic,
    /// Anything else that should not be, such as two digests that differ.
    Wrong,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: usize,
    pub(crate) cuts: usize,
    pub(crate) flips: usize,
    /// Of the flips, so many kept the store from opening; the others changed nothing.
    pub(crate) refused: usize,
    pub(crate) failing_disks: usize,
    pub(crate) acknowledged: usize,
    pub(crate) losses: usize,
    pub(crate) torn_groups: usize,
    pub(crate) would_not_open: usize,
    pub(crate) silent_damage: usize,
    pub(crate) panics: usize,
    pub(crate) wrong: usize,
}

/// Shared by the threads of one test.
pub(crate) struct Report {
    test: &'static str,
    tally: Mutex<Tally>,
    findings: Mutex<Vec<String>>,
    /// Directories that may still be kept.
    evidence_left: AtomicUsize,
}

impl Report {
    pub(crate) fn new(test: &'static str) -> Self {
        say(&format!("crash: {test}: MUSTER_CRASH_SEED={}", seed()));
        Self {
            test,
            tally: Mutex::default(),
            findings: Mutex::default(),
            evidence_left: AtomicUsize::new(EVIDENCE_MAX),
        }
    }

    /// For a test in which faults are due, so that there is nothing to look into.
    pub(crate) fn without_evidence(test: &'static str) -> Self {
        Self {
            evidence_left: AtomicUsize::new(0),
            ..Self::new(test)
        }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().expect("no holder panics"));
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock().expect("no holder panics")
    }

    /// Notes a fault and keeps `state`, the directory as it was before anything was tried on it.
    pub(crate) fn find(&self, fault: Fault, message: &str, state: Option<&Tree>) {
        self.count(|tally| match fault {
            Fault::Loss => tally.losses += 1,
            Fault::TornGroup => tally.torn_groups += 1,
            Fault::WouldNotOpen => tally.would_not_open += 1,
            Fault::SilentDamage => tally.silent_damage += 1,
            Fault::Panic => tally.panics += 1,
            Fault::Wrong => tally.wrong += 1,
        });
        let kept = state.and_then(|state| self.keep(state));
        let kept = kept.map_or_else(String::new, |path| format!(" [{}]", path.display()));
        let finding = format!("{fault:?}: {message}{kept}");
        self.findings
            .lock()
            .expect("no holder panics")
            .push(finding);
    }

    /// A process that failed where it should not have.
    pub(crate) fn find_failure(
        &self,
        fault: Fault,
        what: &str,
        outcome: &Outcome,
        state: Option<&Tree>,
    ) {
        let fault = if outcome.panicked() {
            Fault::Panic
        } else {
            fault
        };
        self.find(fault, &format!("{what}: {}", outcome.summary()), state);
    }

    /// Prints the tally and the sum over all tests so far, which the last test thereby completes.
    pub(crate) fn close(&self) -> Vec<String> {
        static TOTAL: Mutex<Option<Tally>> = Mutex::new(None);
        let mut total = TOTAL.lock().expect("no holder panics");
        let total = total.get_or_insert_default();
        *total += self.tally();
        say(&format!("crash: {}: {}", self.test, self.tally()));
        say(&format!("crash: all tests so far: {total}"));
        std::mem::take(&mut *self.findings.lock().expect("no holder panics"))
    }

    #[track_caller]
    pub(crate) fn finish(&self) {
        let findings = self.close();
        assert!(
            findings.is_empty(),
            "{} findings, MUSTER_CRASH_SEED={}\n{}",
            findings.len(),
            seed(),
            findings
                .iter()
                .take(40)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n")
        );
    }

    fn keep(&self, state: &Tree) -> Option<PathBuf> {
        let take = |left: usize| left.checked_sub(1);
        let left = self
            .evidence_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        let number = EVIDENCE_MAX - left;
        let path = std::env::temp_dir().join(format!(
            "muster-crash-{}-{}-{number}",
            seed(),
            self.test.replace(' ', "-")
        ));
        std::fs::create_dir_all(&path).ok()?;
        state.write(&path).ok()?;
        Some(path)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.flips += other.flips;
        self.refused += other.refused;
        self.failing_disks += other.failing_disks;
        self.acknowledged += other.acknowledged;
        self.losses += other.losses;
        self.torn_groups += other.torn_groups;
        self.would_not_open += other.would_not_open;
        self.silent_damage += other.silent_damage;
        self.panics += other.panics;
        self.wrong += other.wrong;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} kills, {} cuts, {} flips ({} refused), {} failing disks, {} acknowledged writes checked; \
             {} losses, {} torn groups, {} would not open, {} silent damage, {} panics, {} wrong",
            self.kills,
            self.cuts,
            self.flips,
            self.refused,
            self.failing_disks,
            self.acknowledged,
            self.losses,
            self.torn_groups,
            self.would_not_open,
            self.silent_damage,
            self.panics,
            self.wrong
        )
    }
}
