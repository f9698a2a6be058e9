use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::breaker::{Breaker, Health, Pass};
use crate::config::Limits;
use crate::failure::{Failure, Fault};
use crate::outcome::{FailureKind, Receipt, Undelivered};
use crate::outgoing::Outgoing;
use crate::provider::{Handover, Provider};
use crate::retry::{chance, pause_after};
use crate::status::ProviderStatus;

/// One provider, and what stands around every provider: a bound on attempts at once, a time-out for each,
/// retries, and the circuit breaker.
pub(crate) struct Carrier {
    provider: Box<dyn Provider>,
    limits: Limits,
    concurrency: usize,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    in_flight: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Carrier {
    pub(crate) fn new(provider: Box<dyn Provider>, limits: &Limits, concurrency: usize) -> Self {
        let concurrency = limits.concurrency.unwrap_or(concurrency);
        Self {
            provider,
            limits: limits.clone(),
            concurrency,
            permits: Semaphore::new(concurrency),
            breaker: Mutex::new(Breaker::new()),
            in_flight: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(crate) fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(crate) fn status(&self) -> ProviderStatus {
        ProviderStatus {
            name: self.provider.name(),
            channel: self.provider.channel(),
            breaker: self.breaker.lock().state(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) async fn deliver(
        &self,
        outgoing: &Outgoing,
        deadline: Instant,
        may_go: &(dyn Fn() -> bool + Sync),
    ) -> Result<Receipt, Undelivered> {
        let delivered = self.deliver_with_retries(outgoing, deadline, may_go).await;
        let count = match &delivered {
            Ok(_) => &self.sent,
            Err(undelivered) if undelivered.kind == FailureKind::Withdrawn => return delivered,
            Err(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        delivered
    }

    async fn deliver_with_retries(
        &self,
        outgoing: &Outgoing,
        deadline: Instant,
        may_go: &(dyn Fn() -> bool + Sync),
    ) -> Result<Receipt, Undelivered> {
        let mut attempts = 0;
        loop {
            let permit = timeout_at(deadline, self.permits.acquire()).await;
            let Ok(Ok(permit)) = permit else {
                return Err(Undelivered {
                    kind: FailureKind::Unavailable,
                    reason: "no attempt could be made before the time was up".to_owned(),
                    attempts,
                });
            };
            // Whoever waited long may have been erased, or told off, meanwhile.
            if !may_go() {
                return Err(Undelivered::withdrawn(attempts));
            }
            attempts += 1;
            let attempt = self.attempt(outgoing, deadline).await;
            drop(permit);
            let failure = match attempt {
                Ok(provider_message_id) => {
                    return Ok(Receipt {
                        provider_message_id,
                        attempts,
                    });
                }
                Err(failure) => failure,
            };
            let next = self
                .pause(&failure, attempts)
                .map(|pause| Instant::now() + pause)
                .filter(|next| *next < deadline);
            let Some(next) = next else {
                let (kind, reason) = failure.into_kind_and_reason();
                return Err(Undelivered {
                    kind,
                    reason,
                    attempts,
                });
            };
            sleep_until(next).await;
        }
    }

    fn pause(&self, failure: &Failure, attempts: u32) -> Option<Duration> {
        match failure {
            Failure::Retry { after, .. } => pause_after(attempts, *after, chance(), &self.limits),
            Failure::Refused(_)
            | Failure::DeadAddress(_)
            | Failure::Unknown(_)
            | Failure::Malformed(_) => None,
        }
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing,
        deadline: Instant,
    ) -> Result<Option<String>, Failure> {
        let Some(running) = Running::begin(self) else {
            return Err(Failure::unavailable(
                "the provider fails for everybody, and is left alone for a while",
            ));
        };
        let handover = Handover::default();
        let own_end = Instant::now() + self.limits.timeout();
        let attempt = self.provider.attempt(outgoing, &handover);
        match timeout_at(own_end.min(deadline), attempt).await {
            Ok(Ok(provider_message_id)) => {
                running.end(Health::Well);
                Ok(provider_message_id)
            }
            Ok(Err(failure)) => {
                running.end(failure.health());
                Err(self.or_again(failure))
            }
            Err(_) => {
                // It was our deadline and not the provider's time that was up.
                let is_cut_short = deadline < own_end;
                running.end(if is_cut_short {
                    Health::Untold
                } else {
                    Health::Failed
                });
                Err(self.or_again(late(&handover)))
            }
        }
    }

    /// What may have been taken is tried again only where a repetition is told by its key.
    fn or_again(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Unknown(reason) if self.provider.asks_recipients_servers() => Failure::Retry {
                after: None,
                fault: Fault::Recipient,
                reason,
            },
            Failure::Unknown(_)
            | Failure::Retry { .. }
            | Failure::Refused(_)
            | Failure::DeadAddress(_)
            | Failure::Malformed(_) => failure,
        }
    }
}

fn late(handover: &Handover) -> Failure {
    if handover.has_begun() {
        Failure::Unknown("it was handed over, and no answer came in time".to_owned())
    } else {
        Failure::unavailable("the provider was not reached in time")
    }
}

/// An attempt under way: whatever becomes of it, even if nobody waits for its end, it is settled.
struct Running<'a> {
    carrier: &'a Carrier,
    pass: Pass,
    health: Health,
}

impl<'a> Running<'a> {
    fn begin(carrier: &'a Carrier) -> Option<Self> {
        let pass = carrier.breaker.lock().admit(Instant::now())?;
        carrier.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            carrier,
            pass,
            health: Health::Untold,
        })
    }

    fn end(mut self, health: Health) {
        // Settled when it is dropped, which is now.
        self.health = if self.carrier.provider.asks_recipients_servers() {
            Health::Well
        } else {
            health
        };
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.carrier.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut breaker = self.carrier.breaker.lock();
        breaker.settle(self.pass, self.health, Instant::now());
    }
}
