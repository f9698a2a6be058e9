use std::sync::Arc;

use tokio::time::Instant;
use types::Channel;

use crate::apns::Apns;
use crate::carrier::Carrier;
use crate::config::{CONCURRENCY, ConfigError, Limits, ProvidersConfig, SMTP_CONCURRENCY};
use crate::expo::Expo;
use crate::fcm::Fcm;
use crate::log::{self, Log};
use crate::outcome::{FailureKind, Receipt, Undelivered};
use crate::outgoing::{Address, Outgoing};
use crate::provider::Provider;
use crate::smtp::Smtp;
use crate::status::ProviderStatus;
use crate::twilio::Twilio;
use crate::webhook::Webhook;

/// Every provider there is. Cheap to clone.
#[derive(Clone)]
pub struct Providers(Arc<Inner>);

struct Inner {
    carriers: Vec<Carrier>,
    log: Log,
}

impl Providers {
    /// Reads key files; connects to nobody.
    pub fn new(config: &ProvidersConfig) -> Result<Self, ConfigError> {
        let mut carriers = Vec::new();
        let mut add = |provider: Box<dyn Provider>, limits: &Limits, concurrency| {
            limits.check(provider.name())?;
            carriers.push(Carrier::new(provider, limits, concurrency));
            Ok::<(), ConfigError>(())
        };
        if let Some(smtp) = &config.smtp {
            add(Box::new(Smtp::new(smtp)?), &smtp.limits, SMTP_CONCURRENCY)?;
        }
        if let Some(twilio) = &config.twilio {
            add(Box::new(Twilio::new(twilio)?), &twilio.limits, CONCURRENCY)?;
        }
        if let Some(fcm) = &config.fcm {
            add(Box::new(Fcm::new(fcm)?), &fcm.limits, CONCURRENCY)?;
        }
        if let Some(apns) = &config.apns {
            add(Box::new(Apns::new(apns)?), &apns.limits, CONCURRENCY)?;
        }
        if let Some(expo) = &config.expo {
            add(Box::new(Expo::new(expo)?), &expo.limits, CONCURRENCY)?;
        }
        let webhook = config.webhook.clone().unwrap_or_default();
        add(
            Box::new(Webhook::new(&webhook)?),
            &webhook.limits,
            CONCURRENCY,
        )?;
        Ok(Self(Arc::new(Inner {
            carriers,
            log: Log::default(),
        })))
    }

    /// Names of those who carry to this address, in order of preference. `log` stands in on a channel
    /// that has no provider at all; a device whose kind has none, beside another that has, gets nothing.
    pub fn for_address(&self, address: &Address) -> Vec<&'static str> {
        if self.is_logged(address.channel()) {
            return vec![log::NAME];
        }
        let providers = self.0.carriers.iter().map(Carrier::provider);
        providers
            .filter(|it| it.carries(address))
            .map(Provider::name)
            .collect()
    }

    /// Channels on which something can be sent.
    pub fn channels(&self) -> Vec<Channel> {
        let carried = self.0.carriers.iter().map(|it| it.provider().channel());
        let logged = log::CHANNELS.into_iter();
        let mut channels: Vec<Channel> = Vec::new();
        for channel in logged.chain(carried) {
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        channels
    }

    /// How many attempts each provider has at a time, but for `log`, which nobody waits for.
    pub fn concurrency(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let carriers = self.0.carriers.iter();
        carriers.map(|it| (it.provider().name(), it.concurrency()))
    }

    /// Carries a message through the provider of this name, with retries until the deadline. Before each
    /// attempt, when it is the message's turn, `may_go` says whether it is still to go out.
    pub async fn deliver(
        &self,
        provider: &str,
        outgoing: &Outgoing,
        deadline: Instant,
        may_go: &(dyn Fn() -> bool + Sync),
    ) -> Result<Receipt, Undelivered> {
        if provider == log::NAME {
            if !may_go() {
                return Err(Undelivered::withdrawn(0));
            }
            return self.0.log.deliver(outgoing).ok_or_else(not_carried);
        }
        let mut carriers = self.0.carriers.iter();
        match carriers.find(|it| it.provider().name() == provider) {
            Some(carrier) if carrier.provider().carries(&outgoing.address) => {
                carrier.deliver(outgoing, deadline, may_go).await
            }
            Some(_) => Err(not_carried()),
            None => Err(Undelivered {
                kind: FailureKind::Unavailable,
                reason: "there is no provider of this name".to_owned(),
                attempts: 0,
            }),
        }
    }

    /// How each of them fares; `log` once for each channel that it stands in for.
    pub fn status(&self) -> Vec<ProviderStatus> {
        let carried = self.0.carriers.iter().map(Carrier::status);
        let logged = self.0.log.status().filter(|it| self.is_logged(it.channel));
        carried.chain(logged).collect()
    }

    fn is_logged(&self, channel: Channel) -> bool {
        let mut carriers = self.0.carriers.iter();
        log::CHANNELS.contains(&channel) && !carriers.any(|it| it.provider().channel() == channel)
    }
}

fn not_carried() -> Undelivered {
    Undelivered {
        kind: FailureKind::Malformed,
        reason: "the provider does not carry to addresses of this kind".to_owned(),
        attempts: 0,
    }
}
