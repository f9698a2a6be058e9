use std::time::Duration;

use crate::config::Limits;

/// The longest that a provider can make us wait by asking for it.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(2);

/// How long to wait after so many attempts have failed; nothing once it is time to give up. `chance` is
/// any number: with it pauses differ, so that what failed together does not come back together. What
/// the provider asked for is the least.
pub(crate) fn pause_after(
    failed: u32,
    asked_for: Option<Duration>,
    chance: u64,
    limits: &Limits,
) -> Option<Duration> {
    if failed >= limits.attempts_max {
        return None;
    }
    let doublings = failed.saturating_sub(1).min(20);
    let whole = limits
        .backoff_first()
        .saturating_mul(1 << doublings)
        .min(limits.backoff_max());
    let milliseconds = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
    // Full jitter: from nothing to all of it.
    let pause = Duration::from_millis(chance % milliseconds.saturating_add(1).max(1));
    let asked_for = asked_for.unwrap_or_default().min(RETRY_AFTER_MAX);
    Some(pause.max(asked_for))
}

/// Another number each time.
pub(crate) fn chance() -> u64 {
    // Without randomness the pauses are merely shorter.
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: u64 = u64::MAX;

    fn limits() -> Limits {
        Limits {
            attempts_max: 20,
            ..Limits::default()
        }
    }

    #[test]
    fn pauses_are_anything_up_to_what_doubles_and_ends_at_a_minute() {
        let limits = limits();
        for (failed, milliseconds) in [
            (1, 500),
            (2, 1_000),
            (3, 2_000),
            (7, 32_000),
            (8, 60_000),
            (19, 60_000),
        ] {
            let pause = |chance| pause_after(failed, None, chance, &limits).expect("a pause");
            assert_eq!(pause(0), Duration::ZERO);
            assert_eq!(pause(milliseconds), Duration::from_millis(milliseconds));
            assert!(pause(LONGEST) <= Duration::from_millis(milliseconds));
        }
        assert_eq!(pause_after(20, None, 0, &limits), None);
    }

    #[test]
    fn what_the_provider_asked_for_is_the_least_up_to_a_bound() {
        let limits = limits();
        let pause = |seconds| pause_after(1, Some(Duration::from_secs(seconds)), 7, &limits);
        assert_eq!(pause(30), Some(Duration::from_secs(30)));
        assert_eq!(pause(0), Some(Duration::from_millis(7)));
        assert_eq!(pause(86_400), Some(RETRY_AFTER_MAX));
        let used_up = pause_after(20, Some(Duration::from_secs(1)), 0, &limits);
        assert_eq!(used_up, None);
    }
}
