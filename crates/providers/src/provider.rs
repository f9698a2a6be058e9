use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use types::Channel;

use crate::failure::Failure;
use crate::outgoing::{Address, Outgoing};

/// One attempt: what the provider calls the message, if it took it.
pub(crate) type Attempt<'a> =
    Pin<Box<dyn Future<Output = Result<Option<String>, Failure>> + Send + 'a>>;

/// Somebody who carries messages of one channel.
pub(crate) trait Provider: Send + Sync {
    fn name(&self) -> &'static str;

    fn channel(&self) -> Channel;

    /// Whether addresses of this kind are its own.
    fn carries(&self, address: &Address) -> bool {
        address.channel() == self.channel()
    }

    /// Whether every recipient has a server of their own, which is given the key of idempotency. A second
    /// try then does no harm, and a server that fails does so for nobody else.
    fn asks_recipients_servers(&self) -> bool {
        false
    }

    /// Tries once. An attempt is dropped when it takes too long; `handover` then tells whether the
    /// message may have been taken.
    fn attempt<'a>(&'a self, outgoing: &'a Outgoing, handover: &'a Handover) -> Attempt<'a>;
}

/// Whether a message has left us, within one attempt.
#[derive(Debug, Default)]
pub(crate) struct Handover(AtomicBool);

impl Handover {
    /// From here on the provider may have it.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
