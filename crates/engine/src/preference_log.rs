use event_log::Record;
use events::{Event, Personal, PersonalChoice, PreferenceCleared, PreferenceEvent, PreferenceSet};
use types::{Choice, PageLimit, Position, TenantId, Timestamp, TopicId, UserId};

use crate::history::{EventsPage, EventsQuery, History, HistoryError, Order};
use crate::record::to_envelope;

/// Which changes of what people chose.
#[derive(Clone, Debug, Default)]
pub struct PreferenceLogQuery {
    /// A user id.
    pub user: Option<String>,
    /// Only those made in this tenant.
    pub tenant: Option<TenantId>,
    /// Made then or later.
    pub since: Option<Timestamp>,
    /// Exclusive.
    pub before: Option<Position>,
    pub limit: PageLimit,
}

/// One change, as the event tells it.
#[derive(Clone, Debug)]
pub struct PreferenceChange {
    pub position: Position,
    pub at: Timestamp,
    pub user_id: UserId,
    pub topic: TopicId,
    pub topic_name: String,
    pub tenant: Option<TenantId>,
    /// What was chosen; the topic's default where the choice was given up.
    pub choice: Choice,
    pub previous: Option<Choice>,
}

impl History {
    /// What people chose and gave up, newest first, read from the events themselves.
    pub fn preference_changes(
        &self,
        query: &PreferenceLogQuery,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<EventsPage<PreferenceChange>, HistoryError> {
        let events = EventsQuery {
            event_type: Some("preference.*".to_owned()),
            subject: query.user.clone(),
            since: query.since,
            before: query.before,
            order: Order::Descending,
            limit: query.limit,
            ..EventsQuery::default()
        };
        self.gather(&events, still_wanted, |record| {
            let change = self.preference_change(record)?;
            Ok(change.filter(|change| query.tenant.is_none() || change.tenant == query.tenant))
        })
    }

    fn preference_change(
        &self,
        record: &Record<'_>,
    ) -> Result<Option<PreferenceChange>, HistoryError> {
        let envelope = to_envelope(record, &self.store.vault)?;
        let subject = envelope.subjects.first();
        let user_id = subject.and_then(|subject| self.read_models.subjects.user_id(*subject));
        let (Event::Preference(event), Some(user_id)) = (envelope.event, user_id) else {
            return Ok(None);
        };
        let change = |topic, topic_name, tenant, choice, previous| PreferenceChange {
            position: envelope.position,
            at: envelope.recorded_at,
            user_id,
            topic,
            topic_name,
            tenant,
            choice,
            previous,
        };
        Ok(match event {
            PreferenceEvent::Set(PreferenceSet {
                topic,
                topic_name,
                tenant,
                chosen: Personal::Known(PersonalChoice { choice, .. }),
                previous,
            }) => {
                let previous = previous.as_ref().and_then(Personal::known).cloned();
                Some(change(topic, topic_name, tenant, choice, previous))
            }
            PreferenceEvent::Cleared(PreferenceCleared {
                topic,
                topic_name,
                tenant,
                default_status,
                previous: Personal::Known(previous),
            }) => {
                let choice = Choice {
                    status: default_status,
                    routing: None,
                };
                Some(change(topic, topic_name, tenant, choice, Some(previous)))
            }
            PreferenceEvent::Set(PreferenceSet {
                chosen: Personal::Erased,
                ..
            })
            | PreferenceEvent::Cleared(PreferenceCleared {
                previous: Personal::Erased,
                ..
            })
            | PreferenceEvent::RecipientPreferencesReplaced(_)
            | PreferenceEvent::QuietHoursChanged(_) => None,
        })
    }
}
