//! What people chose to receive, and what holds for them.

mod effective;

use std::collections::BTreeMap;
use std::io;

use events::codec::{Decoder, Encoder};
use events::{
    Envelope, Event, Personal, PersonalChoice, PreferenceCleared, PreferenceEvent, PreferenceSet,
    QuietHoursChanged, RecipientPreferencesReplaced,
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::{JsonDocument, QuietHours, SubjectId, TenantId, TopicId};

pub use self::effective::{
    ChannelUse, EffectivePreference, Layer, Layers, OlderChoice, effective, schedules_in_use,
};
use crate::by_subject::BySubject;
use crate::page::Weigh;
use crate::{Digest, Projection};

/// What people chose. What follows from it is worked out by [`effective`] when somebody asks.
#[derive(Default)]
pub struct Preferences {
    state: RwLock<State>,
}

#[derive(Default)]
pub(crate) struct State {
    people: BySubject<PersonPreferences>,
}

/// All that one person chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonPreferences {
    /// By context, everywhere first, and topic.
    pub choices: BTreeMap<(Option<TenantId>, TopicId), PersonalChoice>,
    /// In the older form, by category and by notification.
    pub recipient: Option<JsonDocument>,
    pub quiet_hours: Option<QuietHours>,
}

impl PersonPreferences {
    fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.recipient.is_none() && self.quiet_hours.is_none()
    }

    pub fn choice(&self, topic: &TopicId, tenant: Option<&TenantId>) -> Option<&PersonalChoice> {
        self.choices.get(&(tenant.cloned(), topic.clone()))
    }
}

impl Weigh for PersonalChoice {
    fn bytes(&self) -> usize {
        /// A time as text, with the name of its member.
        const TIME_BYTES: usize = 48;
        let schedule = self.digest_schedule_id.as_ref().map_or(0, String::len);
        let channels = self.choice.routing.as_ref().map_or(0, Vec::len);
        schedule + 16 * channels + 2 * TIME_BYTES * self.snoozes.len()
    }
}

impl Preferences {
    pub fn of_subject(&self, subject: SubjectId) -> Option<PersonPreferences> {
        self.state.read().people.get(subject).cloned()
    }

    pub fn choice(
        &self,
        subject: SubjectId,
        topic: &TopicId,
        tenant: Option<&TenantId>,
    ) -> Option<PersonalChoice> {
        let state = self.state.read();
        state.people.get(subject)?.choice(topic, tenant).cloned()
    }

    /// How many choices the person has made, in all contexts together.
    pub fn choice_count(&self, subject: SubjectId) -> usize {
        let state = self.state.read();
        let person = state.people.get(subject);
        person.map_or(0, |person| person.choices.len())
    }

    /// What the person has chosen about, by context and topic.
    pub fn choice_keys(&self, subject: SubjectId) -> Vec<(Option<TenantId>, TopicId)> {
        let state = self.state.read();
        let person = state.people.get(subject);
        person.map_or_else(Vec::new, |person| person.choices.keys().cloned().collect())
    }

    pub fn recipient(&self, subject: SubjectId) -> Option<JsonDocument> {
        let state = self.state.read();
        state.people.get(subject)?.recipient.clone()
    }

    pub fn quiet_hours(&self, subject: SubjectId) -> Option<QuietHours> {
        let state = self.state.read();
        state.people.get(subject)?.quiet_hours.clone()
    }

    /// For questions that go over several read models.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// For folding a group of events without letting a reader in between.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }
}

impl State {
    pub(crate) fn person(&self, subject: SubjectId) -> Option<&PersonPreferences> {
        self.people.get(subject)
    }

    /// Everybody who chose anything.
    pub(crate) fn everybody(&self) -> &RoaringBitmap {
        self.people.everybody()
    }

    pub(crate) fn apply(&mut self, envelope: &Envelope) {
        let (Event::Preference(event), Some(subject)) =
            (&envelope.event, envelope.subjects.first())
        else {
            return;
        };
        let person = self.people.or_default(*subject);
        match event {
            PreferenceEvent::Set(PreferenceSet {
                topic,
                tenant,
                chosen,
                ..
            }) => {
                let key = (tenant.clone(), topic.clone());
                if let Some(chosen) = chosen.known() {
                    person.choices.insert(key, chosen.clone());
                }
            }
            PreferenceEvent::Cleared(PreferenceCleared { topic, tenant, .. }) => {
                person.choices.remove(&(tenant.clone(), topic.clone()));
            }
            PreferenceEvent::RecipientPreferencesReplaced(RecipientPreferencesReplaced {
                preferences,
            }) => {
                let preferences = preferences.as_ref();
                person.recipient = preferences.and_then(Personal::known).cloned();
            }
            PreferenceEvent::QuietHoursChanged(QuietHoursChanged { quiet_hours }) => {
                let quiet_hours = quiet_hours.as_ref();
                person.quiet_hours = quiet_hours.and_then(Personal::known).cloned();
            }
        }
        if person.is_empty() {
            self.people.remove(*subject);
        }
    }
}

impl Preferences {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put_all(self.state.read().people.in_order())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let people = input.take_into()?;
        Ok(Self {
            state: RwLock::new(State { people }),
        })
    }
}

impl Projection for Preferences {
    const NAME: &'static str = "preferences";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        self.state.write().apply(envelope);
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        for (subject, person) in state.people.in_order() {
            digest.number(u64::from(subject.0));
            digest.number(person.choices.len() as u64);
            for ((tenant, topic), chosen) in &person.choices {
                digest.optional_text(tenant.as_ref().map(TenantId::as_str));
                digest.text(topic.as_str());
                digest.json(chosen);
            }
            digest.optional_text(person.recipient.as_ref().map(JsonDocument::as_str));
            digest.json(&person.quiet_hours);
        }
    }
}
