use std::time::Duration;

/// What an operator chooses about webhooks.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOptions {
    /// Whether targets may be on this machine or in a private network.
    pub private_targets: bool,
    /// How long a target has for one answer, from looking up its address to the end of what it says.
    pub time_max: Duration,
    /// The pause after the first failure; it doubles with each further one, up to an hour.
    pub first_pause: Duration,
    /// After so many attempts a delivery is given up.
    pub attempts_max: u32,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            private_targets: false,
            time_max: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            attempts_max: 16,
        }
    }
}
