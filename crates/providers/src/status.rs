use types::Channel;

/// How one provider fares, for metrics and for readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    pub name: &'static str,
    pub channel: Channel,
    pub breaker: BreakerState,
    /// Attempts under way.
    pub in_flight: u64,
    /// Messages taken since the start.
    pub sent: u64,
    /// Messages given up since the start.
    pub failed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

impl BreakerState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}
