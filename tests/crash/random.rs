//! The source of every choice that the tests make, so that a seed repeats a run's choices.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// splitmix64: small, fast and good enough to choose cuts and bits.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The run's seed mixed with the name of what is chosen, so that tests do not share choices.
    pub(crate) fn of(purpose: &str) -> Self {
        let mut mixed = Self::new(seed());
        for byte in purpose.bytes() {
            mixed.state ^= u64::from(byte);
            mixed.next();
        }
        mixed
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a usize fits into 64 bits");
        usize::try_from(self.next() % bound).expect("smaller than a usize")
    }

    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// `MUSTER_CRASH_SEED`, or a new one; it is the same for every test of the run.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| match std::env::var("MUSTER_CRASH_SEED") {
        Ok(given) => given.parse().expect("MUSTER_CRASH_SEED is a number"),
        Err(_) => fresh_seed(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a seed must differ from run to run, and it is printed"
)]
fn fresh_seed() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Random::new(since_epoch.as_secs() ^ u64::from(since_epoch.subsec_nanos())).next() >> 16
}
