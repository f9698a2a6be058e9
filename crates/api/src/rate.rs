use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// How many requests each credential may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub per_second: NonZeroU32,
    /// Requests that can be made at once, after a pause.
    pub burst: NonZeroU32,
}

type Limiter<C> = RateLimiter<Arc<str>, DashMapStateStore<Arc<str>>, C, StateInformationMiddleware>;

/// A bucket for each good credential that was used lately.
pub(crate) struct Rates<C: Clock = DefaultClock> {
    limited: Option<(RateLimit, Limiter<C>, C)>,
}

/// What is left of an allowance after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    limit: RateLimit,
    left: u32,
    /// Until the next request can be made; nothing if this one could.
    wait: Option<Duration>,
}

impl Rates {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self::with_clock(limit, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(limit: Option<RateLimit>, clock: C) -> Self {
        let limited = limit.map(|limit| {
            let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
            let store = DashMapStateStore::default();
            let limiter: Limiter<C> = RateLimiter::new(quota, store, clock.clone());
            (limit, limiter, clock)
        });
        Self { limited }
    }

    /// Forgets buckets that are full: of tokens there can be any number.
    pub(crate) fn forget_full(&self) {
        if let Some((_, limiter, _)) = &self.limited {
            limiter.retain_recent();
        }
    }

    /// Takes one request out of the bucket; nothing where there is no limit.
    pub(crate) fn take(&self, credential: &Arc<str>) -> Option<Allowance> {
        let (limit, limiter, clock) = self.limited.as_ref()?;
        let (left, wait) = match limiter.check_key(credential) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(early) => (0, Some(early.wait_time_from(clock.now()))),
        };
        let limit = *limit;
        Some(Allowance { limit, left, wait })
    }
}

impl Allowance {
    /// Whole seconds until it is worth to ask again, where this was too much.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let wait = self.wait?;
        Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }

    /// The fields of the third draft of "`RateLimit` header fields for HTTP", which is what clients
    /// read: the burst, what is left of it, and in how many seconds it is whole again.
    pub(crate) fn write_to(self, headers: &mut HeaderMap) {
        let burst = self.limit.burst.get();
        let reset = (burst - self.left).div_ceil(self.limit.per_second.get());
        for (name, value) in [
            ("ratelimit-limit", burst),
            ("ratelimit-remaining", self.left),
            ("ratelimit-reset", reset),
        ] {
            headers.insert(name, HeaderValue::from(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_what_it_is_refilled_with() {
        let number = |it| NonZeroU32::new(it).expect("not zero");
        let limit = RateLimit {
            per_second: number(2),
            burst: number(3),
        };
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(Some(limit), clock.clone());
        let (ada, bob): (Arc<str>, Arc<str>) = ("ada".into(), "bob".into());
        let take = |who| {
            let allowance = rates.take(who).expect("there is a limit");
            (allowance.left, allowance.retry_after())
        };
        assert_eq!(
            [take(&ada), take(&ada), take(&ada)],
            [(2, None), (1, None), (0, None)]
        );
        assert_eq!(take(&ada), (0, Some(1)));
        assert_eq!(take(&bob), (2, None), "each has a bucket of its own");
        clock.advance(Duration::from_millis(500));
        assert_eq!(take(&ada), (0, None));
        assert_eq!(take(&ada), (0, Some(1)));
        clock.advance(Duration::from_mins(1));
        assert_eq!(take(&ada), (2, None), "and no bucket overflows");
        assert!(Rates::new(None).take(&ada).is_none());
    }
}
