use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use delivery::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use providers::{BreakerState, ProviderStatus};
use transparency::Status;
use types::Position;

/// What the server counts. Every name stands here, and in docs/OPERATING.md.
pub struct Metrics {
    registry: Registry,
    requests: Family<Asked, Counter>,
    request_seconds: Family<Route, Histogram>,
    requests_in_flight: Gauge,
    credentials_refused: Counter,
    connections: Gauge,
    group_events: Histogram,
    flush_seconds: Histogram,
    fold_seconds: Histogram,
    event_streams: Gauge,
    events_streamed: Counter,
    audience_checks: Counter,
    audience_divergence: Counter,
    webhook_lag: Family<OfWebhook, Gauge<u64, AtomicU64>>,
    now: Now,
}

/// What is asked for when somebody looks.
#[derive(Default)]
struct Now {
    position: Gauge<u64, AtomicU64>,
    lag: Gauge<u64, AtomicU64>,
    queue: Gauge<u64, AtomicU64>,
    answers: Gauge<u64, AtomicU64>,
    people: Gauge<u64, AtomicU64>,
    audiences: Gauge<u64, AtomicU64>,
    audience_changes: Gauge<u64, AtomicU64>,
    messages: Gauge<u64, AtomicU64>,
    requests_to_send: Gauge<u64, AtomicU64>,
    being_sent: Gauge<u64, AtomicU64>,
    checkpoint: Gauge<u64, AtomicU64>,
    scrubbed: Gauge<u64, AtomicU64>,
    scrubs: Gauge<u64, AtomicU64>,
    damage: Gauge<u64, AtomicU64>,
    tiles_rebuilt: Gauge<u64, AtomicU64>,
    anchors_failing: Gauge<u64, AtomicU64>,
    deliveries: Family<DeliveryOutcome, Gauge<u64, AtomicU64>>,
    provider_messages: Family<ProviderOutcome, Gauge<u64, AtomicU64>>,
    provider_attempts: Family<OfProvider, Gauge<u64, AtomicU64>>,
    provider_breakers: Family<OfProvider, Gauge<u64, AtomicU64>>,
    memory: Gauge<u64, AtomicU64>,
    cpu: Gauge<f64, AtomicU64>,
    files: Gauge<u64, AtomicU64>,
    threads: Gauge<u64, AtomicU64>,
    started: Gauge<f64, AtomicU64>,
}

/// What the server is like at a moment, as far as it does not count it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Position of the last event that the read models show.
    pub(crate) position: u64,
    /// Position of the last durable event.
    pub(crate) head: u64,
    /// Commands that wait to be decided.
    pub(crate) queue: u64,
    /// Answers that are kept for idempotency keys.
    pub(crate) answers: u64,
    /// People who were ever heard of.
    pub(crate) people: u64,
    pub(crate) audiences: u64,
    /// How often somebody joined an audience or left one since the start.
    pub(crate) audience_changes: u64,
    /// Requests to send that were ever accepted.
    pub(crate) messages: u64,
    /// Of those, the ones in which somebody has no outcome yet.
    pub(crate) requests_to_send: u64,
    /// People for whom an outcome is being made.
    pub(crate) being_sent: u64,
    pub(crate) log: Status,
    /// How attempts to tell webhooks ended since the start.
    pub(crate) deliveries: Counts,
    pub(crate) process: Process,
}

/// The process as the operating system sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    pub memory_bytes: u64,
    pub cpu_seconds: f64,
    pub open_files: u64,
    pub threads: u64,
    /// Seconds since 1970.
    pub started_at: f64,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfWebhook {
    webhook: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeliveryOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfProvider {
    provider: &'static str,
    channel: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ProviderOutcome {
    provider: &'static str,
    channel: &'static str,
    outcome: &'static str,
}

/// From half a millisecond to some eight seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 15))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register(
            "http_requests",
            "Requests that were answered",
            Family::clone(&requests),
        );
        let request_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register_with_unit(
            "http_request_duration",
            "From the head of a request to the head of its answer",
            Unit::Seconds,
            Family::clone(&request_seconds),
        );
        let requests_in_flight = Gauge::<i64, AtomicI64>::default();
        registry.register(
            "http_requests_in_flight",
            "Requests that are being answered",
            requests_in_flight.clone(),
        );
        let credentials_refused = Counter::default();
        registry.register(
            "credentials_refused",
            "Requests with a credential that is none, or no more",
            credentials_refused.clone(),
        );
        let connections = Gauge::<i64, AtomicI64>::default();
        registry.register("connections", "Open connections", connections.clone());
        let group_events = Histogram::new(exponential_buckets(1.0, 2.0, 14));
        registry.register(
            "writer_group_events",
            "Events that were made durable together",
            group_events.clone(),
        );
        let flush_seconds = seconds();
        registry.register_with_unit(
            "writer_flush",
            "How long the log took to make a group durable",
            Unit::Seconds,
            flush_seconds.clone(),
        );
        let fold_seconds = seconds();
        registry.register_with_unit(
            "writer_fold",
            "How long after that the read models showed it",
            Unit::Seconds,
            fold_seconds.clone(),
        );
        let event_streams = Gauge::<i64, AtomicI64>::default();
        registry.register(
            "event_streams",
            "Streams of events that are open",
            event_streams.clone(),
        );
        let events_streamed = Counter::default();
        registry.register(
            "events_streamed",
            "Events that were handed to streams",
            events_streamed.clone(),
        );
        let audience_checks = Counter::default();
        registry.register(
            "audience_checks",
            "Audiences compared as a whole with what their rules say",
            audience_checks.clone(),
        );
        let audience_divergence = Counter::default();
        registry.register(
            "audience_divergence",
            "Memberships in which an audience and its rule disagreed; must stay 0",
            audience_divergence.clone(),
        );
        let webhook_lag = Family::default();
        registry.register(
            "webhook_lag_events",
            "Events that a webhook has not looked at yet",
            Family::clone(&webhook_lag),
        );
        let now = Now::default();
        now.register(&mut registry);
        Self {
            registry,
            requests,
            request_seconds,
            requests_in_flight,
            credentials_refused,
            connections,
            group_events,
            flush_seconds,
            fold_seconds,
            event_streams,
            events_streamed,
            audience_checks,
            audience_divergence,
            webhook_lag,
            now,
        }
    }
}

impl Now {
    fn register(&self, registry: &mut Registry) {
        let mut whole = |name: &str, help: &str, gauge: &Gauge<u64, AtomicU64>| {
            registry.register(name, help, gauge.clone());
        };
        whole(
            "log_position",
            "Position of the last event that the read models show",
            &self.position,
        );
        whole(
            "projection_lag_events",
            "Durable events that the read models do not show yet",
            &self.lag,
        );
        whole(
            "writer_queue_commands",
            "Commands that wait to be decided",
            &self.queue,
        );
        whole(
            "idempotency_answers",
            "Answers that are kept for idempotency keys",
            &self.answers,
        );
        whole("people", "People who were ever heard of", &self.people);
        whole("audiences", "Audiences that there are", &self.audiences);
        whole(
            "audience_changes",
            "How often somebody joined an audience or left one since the start",
            &self.audience_changes,
        );
        whole(
            "messages_accepted",
            "Requests to send that are in the log",
            &self.messages,
        );
        whole(
            "messages_active",
            "Requests to send in which somebody has no outcome yet",
            &self.requests_to_send,
        );
        whole(
            "message_recipients_in_flight",
            "People whom something is being sent",
            &self.being_sent,
        );
        whole(
            "log_checkpoint_size",
            "Records that the newest published checkpoint covers",
            &self.checkpoint,
        );
        whole(
            "log_scrub_position",
            "Up to where the scrubber has read the log this time",
            &self.scrubbed,
        );
        whole(
            "log_scrubs",
            "How often the scrubber has read the whole log since the start",
            &self.scrubs,
        );
        whole(
            "log_damaged_position",
            "The first damaged position that the scrubber found; must stay 0",
            &self.damage,
        );
        whole(
            "log_tiles_rebuilt",
            "How often the tiles were not those of the records, and were made again",
            &self.tiles_rebuilt,
        );
        whole(
            "log_anchors_failing",
            "Anchors that could not be written the last time",
            &self.anchors_failing,
        );
        whole(
            "process_resident_memory_bytes",
            "Memory that is in use",
            &self.memory,
        );
        whole("process_open_fds", "Files that are open", &self.files);
        whole("process_threads", "Threads", &self.threads);
        registry.register(
            "webhook_deliveries",
            "How attempts to tell webhooks ended since the start",
            Family::clone(&self.deliveries),
        );
        registry.register(
            "provider_messages",
            "Messages that a provider took, or that were given up on it, since the start",
            Family::clone(&self.provider_messages),
        );
        registry.register(
            "provider_attempts_in_flight",
            "Attempts to hand a message to a provider that are under way",
            Family::clone(&self.provider_attempts),
        );
        registry.register(
            "provider_breaker_open",
            "1 where a provider failed so often that it is left alone for a while",
            Family::clone(&self.provider_breakers),
        );
        registry.register(
            "process_cpu_seconds",
            "Time that the process computed",
            self.cpu.clone(),
        );
        registry.register(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            self.started.clone(),
        );
    }

    fn set(&self, moment: &Moment) {
        self.position.set(moment.position);
        self.lag.set(moment.head.saturating_sub(moment.position));
        self.queue.set(moment.queue);
        self.answers.set(moment.answers);
        self.people.set(moment.people);
        self.audiences.set(moment.audiences);
        self.audience_changes.set(moment.audience_changes);
        self.messages.set(moment.messages);
        self.requests_to_send.set(moment.requests_to_send);
        self.being_sent.set(moment.being_sent);
        self.checkpoint.set(moment.log.checkpoint);
        self.scrubbed.set(moment.log.scrubbed);
        self.scrubs.set(moment.log.scrubs);
        self.damage.set(moment.log.damage);
        self.tiles_rebuilt.set(moment.log.tiles_rebuilt);
        self.anchors_failing.set(moment.log.anchors_failing);
        let Counts {
            delivered,
            failed,
            given_up,
        } = moment.deliveries;
        for (outcome, count) in [
            ("delivered", delivered),
            ("failed", failed),
            ("given_up", given_up),
        ] {
            let outcome = DeliveryOutcome { outcome };
            self.deliveries.get_or_create(&outcome).set(count);
        }
        self.memory.set(moment.process.memory_bytes);
        self.cpu.set(moment.process.cpu_seconds);
        self.files.set(moment.process.open_files);
        self.threads.set(moment.process.threads);
        self.started.set(moment.process.started_at);
    }
}

/// One of those that a gauge counts, as long as it is there.
pub struct Counted(Gauge);

impl Counted {
    fn in_gauge(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// An audience was compared with its rule.
    pub fn audience_checked(&self) {
        self.audience_checks.inc();
    }

    /// An audience and its rule disagreed about so many people.
    pub fn audience_diverged(&self, people: u64) {
        self.audience_divergence.inc_by(people);
    }

    /// A group became durable, and then visible.
    #[expect(clippy::cast_precision_loss, reason = "a group has few events")]
    pub fn group_written(&self, events: usize, flush: Duration, fold: Duration) {
        self.group_events.observe(events as f64);
        self.flush_seconds.observe(flush.as_secs_f64());
        self.fold_seconds.observe(fold.as_secs_f64());
    }

    /// A connection is open until what is returned is dropped.
    pub fn connection(&self) -> Counted {
        Counted::in_gauge(&self.connections)
    }

    /// A stream of events is open until what is returned is dropped.
    pub(crate) fn event_stream(&self) -> Counted {
        Counted::in_gauge(&self.event_streams)
    }

    pub(crate) fn streamed(&self, events: usize) {
        self.events_streamed.inc_by(events as u64);
    }

    pub(crate) fn refused_credential(&self) {
        self.credentials_refused.inc();
    }

    /// A request is being answered until what is returned is dropped, which it also is when whoever asked
    /// goes away.
    pub(crate) fn request(&self) -> Counted {
        Counted::in_gauge(&self.requests_in_flight)
    }

    /// `method` and `route` are of ours, not what the caller sent: there are only so many.
    pub(crate) fn request_ended(
        &self,
        method: &'static str,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let asked = Asked {
            method,
            route,
            status,
        };
        self.requests.get_or_create(&asked).inc();
        let seconds = self.request_seconds.get_or_create(&Route { method, route });
        seconds.observe(took.as_secs_f64());
    }

    /// How far each webhook has got, of those that there are.
    pub(crate) fn webhooks_reached(&self, head: u64, reached: Vec<(String, Position)>) {
        self.webhook_lag.clear();
        for (webhook, Position(position)) in reached {
            let lag = self.webhook_lag.get_or_create(&OfWebhook { webhook });
            lag.set(head.saturating_sub(position));
        }
    }

    /// How the providers fare.
    pub(crate) fn providers_fare(&self, providers: Vec<ProviderStatus>) {
        for status in providers {
            let (provider, channel) = (status.name, status.channel.name());
            for (outcome, count) in [("sent", status.sent), ("failed", status.failed)] {
                let outcome = ProviderOutcome {
                    provider,
                    channel,
                    outcome,
                };
                let messages = self.now.provider_messages.get_or_create(&outcome);
                messages.set(count);
            }
            let provider = OfProvider { provider, channel };
            let attempts = self.now.provider_attempts.get_or_create(&provider);
            attempts.set(status.in_flight);
            let is_open = match status.breaker {
                BreakerState::Open => 1,
                BreakerState::Closed | BreakerState::HalfOpen => 0,
            };
            let breaker = self.now.provider_breakers.get_or_create(&provider);
            breaker.set(is_open);
        }
    }

    pub(crate) fn encode(&self, moment: &Moment) -> String {
        self.now.set(moment);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes whatever is written");
        text
    }
}
