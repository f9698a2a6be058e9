use std::time::Duration;

use tokio::time::Instant;

use crate::status::BreakerState;

/// So many failures in a row open it.
const FAILURES_TO_OPEN: u32 = 5;
/// How long nobody is sent through after it opened; twice as long with each probe that fails.
const PAUSE_FIRST: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_mins(2);

/// Keeps attempts from a provider that fails for everybody. Knows no clock: instants are given.
#[derive(Debug)]
pub(crate) struct Breaker(State);

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
        pause: Duration,
    },
    /// One attempt is under way, and decides.
    HalfOpen {
        pause: Duration,
    },
}

/// An attempt that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Ordinary,
    /// The one that tells whether the provider is back.
    Probe,
}

/// How an attempt that was let through went for the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answered, be it with a refusal.
    Well,
    Failed,
    /// Nobody waited for the end.
    Untold,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self(State::Closed { failures: 0 })
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.0 {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether an attempt may be made now.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Pass> {
        match self.0 {
            State::Closed { .. } => Some(Pass::Ordinary),
            State::Open { until, pause } if now >= until => {
                self.0 = State::HalfOpen { pause };
                Some(Pass::Probe)
            }
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Every pass is answered for once. What was let through before it opened decides nothing any more.
    pub(crate) fn settle(&mut self, pass: Pass, health: Health, now: Instant) {
        self.0 = match (&self.0, pass, health) {
            (State::Closed { .. }, _, Health::Well)
            | (State::HalfOpen { .. }, Pass::Probe, Health::Well) => State::Closed { failures: 0 },
            (State::Closed { failures }, _, Health::Failed) if failures + 1 < FAILURES_TO_OPEN => {
                State::Closed {
                    failures: failures + 1,
                }
            }
            (State::Closed { .. }, _, Health::Failed) => State::Open {
                until: now + PAUSE_FIRST,
                pause: PAUSE_FIRST,
            },
            (State::HalfOpen { pause }, Pass::Probe, Health::Failed) => {
                let pause = (*pause * 2).min(PAUSE_MAX);
                State::Open {
                    until: now + pause,
                    pause,
                }
            }
            // The next one probes in its place.
            (State::HalfOpen { pause }, Pass::Probe, Health::Untold) => State::Open {
                until: now,
                pause: *pause,
            },
            (State::Closed { .. }, _, Health::Untold)
            | (State::HalfOpen { .. }, Pass::Ordinary, _)
            | (State::Open { .. }, _, _) => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..FAILURES_TO_OPEN {
            let pass = breaker.admit(now).expect("closed");
            breaker.settle(pass, Health::Failed, now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn only_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            for _ in 1..FAILURES_TO_OPEN {
                breaker.settle(Pass::Ordinary, Health::Failed, now);
            }
            breaker.settle(Pass::Ordinary, Health::Well, now);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn one_probe_goes_through_after_the_pause_and_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(
            breaker.admit(now + PAUSE_FIRST - Duration::from_millis(1)),
            None
        );
        assert_eq!(breaker.admit(now + PAUSE_FIRST), Some(Pass::Probe));
        assert_eq!(breaker.admit(now + PAUSE_FIRST), None, "one at a time");
        breaker.settle(Pass::Ordinary, Health::Well, now + PAUSE_FIRST);
        assert_eq!(
            breaker.state(),
            BreakerState::HalfOpen,
            "what was under way decides nothing"
        );
        breaker.settle(Pass::Probe, Health::Well, now + PAUSE_FIRST);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn pauses_double_up_to_two_minutes_with_probes_that_fail() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [10, 20, 40, 80, 120, 120] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(breaker.admit(now + pause - Duration::from_millis(1)), None);
            now += pause;
            assert_eq!(breaker.admit(now), Some(Pass::Probe));
            breaker.settle(Pass::Probe, Health::Failed, now);
        }
    }

    #[test]
    fn a_probe_that_nobody_waited_for_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + PAUSE_FIRST;
        assert_eq!(breaker.admit(later), Some(Pass::Probe));
        breaker.settle(Pass::Probe, Health::Untold, later);
        assert_eq!(breaker.admit(later), Some(Pass::Probe));
    }
}
