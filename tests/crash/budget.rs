//! How many faults a test makes, shared by its threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use crate::random::Random;

/// As many as the machine that runs the tests can be counted on to have.
const THREADS: usize = 2;

pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// The size in the environment under `variable`, or `default`.
    pub(crate) fn from_env(variable: &str, default: usize) -> Self {
        let size = match std::env::var(variable) {
            Ok(given) => given.parse().expect("the size of a crash test is a number"),
            Err(_) => default,
        };
        Self::of(size)
    }

    pub(crate) fn of(size: usize) -> Self {
        Self {
            left: AtomicUsize::new(size),
        }
    }

    /// Takes one fault, unless all are taken.
    pub(crate) fn take(&self) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Runs `chain` in every thread, each with its own choices, until the budget is spent.
    pub(crate) fn spend(
        &self,
        purpose: &str,
        chain: impl Fn(&Self, &mut Random) -> Result<()> + Sync,
    ) -> Result<()> {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let chain = &chain;
                    scope.spawn(move || {
                        let mut random = Random::of(&format!("{purpose} {number}"));
                        while !self.is_spent() {
                            chain(self, &mut random)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
        })
    }
}
