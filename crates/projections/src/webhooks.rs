use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, WebhookEvent};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use types::{AudienceId, Position, StreamId, Timestamp};

use crate::{Digest, Projection};

/// Who is told of what happens.
#[derive(Default)]
pub struct Webhooks {
    state: RwLock<State>,
    /// How often one came or went.
    changes: AtomicU64,
}

#[derive(Default)]
struct State {
    /// In the order in which they were registered.
    webhooks: BTreeMap<Position, WebhookView>,
    by_id: HashMap<String, Position>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookView {
    pub id: String,
    pub url: String,
    /// Types of events, each exact or the beginning of some and `*`.
    pub types: Vec<String>,
    /// Of which audience joining and leaving is told; of all unless given.
    pub audience_id: Option<AudienceId>,
    pub registered_at: Timestamp,
    /// What happened after this is told.
    pub position: Position,
}

impl Webhooks {
    pub fn get(&self, id: &str) -> Option<WebhookView> {
        let state = self.state.read();
        state.webhooks.get(state.by_id.get(id)?).cloned()
    }

    /// All that there are, oldest first.
    pub fn all(&self) -> Vec<WebhookView> {
        self.state.read().webhooks.values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.state.read().webhooks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Another number than before when one has come or gone.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

impl Webhooks {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put_all(self.state.read().webhooks.values())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State::default();
        for webhook in input.take_all::<WebhookView>()? {
            let webhook = webhook?;
            state.by_id.insert(webhook.id.clone(), webhook.position);
            state.webhooks.insert(webhook.position, webhook);
        }
        Ok(Self {
            state: RwLock::new(state),
            changes: AtomicU64::default(),
        })
    }
}

impl Projection for Webhooks {
    const NAME: &'static str = "webhooks";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let (Event::Webhook(event), StreamId::Webhook(id)) = (&envelope.event, &envelope.stream)
        else {
            return;
        };
        let mut state = self.state.write();
        match event {
            WebhookEvent::Registered(registered) => {
                let webhook = WebhookView {
                    id: id.clone(),
                    url: registered.url.clone(),
                    types: registered.types.clone(),
                    audience_id: registered.audience_id.clone(),
                    registered_at: envelope.recorded_at,
                    position: envelope.position,
                };
                state.webhooks.insert(envelope.position, webhook);
                state.by_id.insert(id.clone(), envelope.position);
            }
            WebhookEvent::Removed(_) => {
                if let Some(place) = state.by_id.remove(id) {
                    state.webhooks.remove(&place);
                }
            }
            WebhookEvent::RedeliveryRequested(_) => return,
        }
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn digest(&self, digest: &mut Digest) {
        for webhook in self.state.read().webhooks.values() {
            digest.text(&webhook.id);
            digest.text(&webhook.url);
            digest.json(&(&webhook.types, &webhook.audience_id));
            digest.json(&(webhook.registered_at, webhook.position));
        }
    }
}
