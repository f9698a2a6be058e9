use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::options::DeliveryOptions;

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// How long to wait after so many attempts have failed; nothing once it is time to give up. `chance` is
/// any number: with it pauses differ, so that what failed together does not come back together.
pub(crate) fn pause_after(failed: u32, chance: u64, options: &DeliveryOptions) -> Option<Duration> {
    if failed >= options.attempts_max {
        return None;
    }
    let doublings = failed.saturating_sub(1).min(20);
    let whole = options.first_pause.saturating_mul(1 << doublings);
    let whole = whole.min(PAUSE_MAX);
    // From half of it to all of it.
    let part = u32::try_from(chance % 1_001).unwrap_or(0);
    Some(whole / 2 + whole / 2_000 * part)
}

/// Another number each time.
pub(crate) fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_end_after_hours() {
        let options = DeliveryOptions::default();
        let shortest = |failed| pause_after(failed, 0, &options).expect("a pause");
        let longest = |failed| pause_after(failed, 1_000, &options).expect("a pause");
        assert_eq!(longest(1), Duration::from_secs(1));
        for failed in 2..options.attempts_max {
            let doubled = (2 * longest(failed - 1)).min(PAUSE_MAX);
            assert_eq!(longest(failed), doubled);
            assert_eq!(shortest(failed), doubled / 2);
        }
        let all: Duration = (1..options.attempts_max).map(shortest).sum();
        assert!(all > Duration::from_hours(2), "{all:?}");
        assert_eq!(pause_after(options.attempts_max, 0, &options), None);
    }
}
