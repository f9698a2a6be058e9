use std::sync::atomic::{AtomicU64, Ordering};

use types::Channel;

use crate::outcome::Receipt;
use crate::outgoing::Outgoing;
use crate::status::{BreakerState, ProviderStatus};

pub(crate) const NAME: &str = "log";

/// Channels that can do without a provider while one develops.
pub(crate) const CHANNELS: [Channel; 3] = [Channel::Email, Channel::Sms, Channel::Push];

/// Takes everything and writes a line about it, with nothing of the person or of the text in it. There is
/// nothing to wait for, so nothing of a carrier stands around it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    sent: [AtomicU64; CHANNELS.len()],
}

impl Log {
    /// Nothing for channels that it does not stand in for.
    pub(crate) fn deliver(&self, outgoing: &Outgoing) -> Option<Receipt> {
        let channel = outgoing.address.channel();
        let index = CHANNELS.iter().position(|it| *it == channel)?;
        self.sent[index].fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            message.id = %outgoing.message_id,
            channel = channel.name(),
            "a message would have been sent"
        );
        Some(Receipt {
            provider_message_id: None,
            attempts: 1,
        })
    }

    pub(crate) fn status(&self) -> impl Iterator<Item = ProviderStatus> + '_ {
        CHANNELS
            .iter()
            .zip(&self.sent)
            .map(|(channel, sent)| ProviderStatus {
                name: NAME,
                channel: *channel,
                breaker: BreakerState::Closed,
                in_flight: 0,
                sent: sent.load(Ordering::Relaxed),
                failed: 0,
            })
    }
}
