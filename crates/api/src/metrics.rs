use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use types::Position;

/// What the server counts. Every name stands here, and in docs/OPERATING.md.
pub struct Metrics {
    registry: Registry,
    position: Gauge<u64, AtomicU64>,
    audience_checks: Counter,
    audience_divergence: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let position = Gauge::default();
        registry.register(
            "log_position",
            "Position of the last event that the read models show",
            position.clone(),
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
        Self {
            registry,
            position,
            audience_checks,
            audience_divergence,
        }
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

    pub(crate) fn encode(&self, position: Position) -> String {
        self.position.set(position.0);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes whatever is written");
        text
    }
}
