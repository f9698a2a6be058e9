use std::collections::BTreeMap;
use std::io;

use events::codec::{Decoder, Encoder};
use events::{
    Envelope, Event, PreferencePageEvent, PreferencePagePublished, SectionCreated, SectionDetails,
    SectionEvent, SectionUpdated, TopicCreated, TopicDetails, TopicEvent, TopicUpdated,
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use serde::{Deserialize, Serialize};
use types::{SectionId, StreamId, Timestamp, TopicId};

use crate::{Digest, Projection, schedules_in_use};

/// The sections, their topics, and the page on which people choose among them.
#[derive(Default)]
pub struct Topics {
    state: RwLock<State>,
}

#[derive(Default)]
pub(crate) struct State {
    sections: BTreeMap<SectionId, Stored<SectionDetails>>,
    topics: BTreeMap<TopicId, StoredTopic>,
    page: Option<PublishedPage>,
}

#[derive(Serialize, Deserialize)]
struct Stored<D> {
    details: D,
    created_at: Timestamp,
    updated_at: Timestamp,
}

struct StoredTopic {
    section: SectionId,
    stored: Stored<TopicDetails>,
    /// The digest schedules in use, read once: whoever chooses about the topic asks for them.
    schedules: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionView {
    pub id: SectionId,
    pub details: SectionDetails,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// In the order of their ids.
    pub topics: Vec<TopicView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    pub id: TopicId,
    pub section: SectionId,
    pub details: TopicDetails,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The preference page as it was published last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPage {
    pub published: PreferencePagePublished,
    pub at: Timestamp,
}

impl Topics {
    /// All sections with their topics, in the order of their ids.
    pub fn sections(&self) -> Vec<SectionView> {
        let state = self.state.read();
        let mut sections: BTreeMap<&SectionId, SectionView> = state
            .sections
            .iter()
            .map(|(id, stored)| (id, stored.view(id)))
            .collect();
        for (id, topic) in &state.topics {
            if let Some(section) = sections.get_mut(&topic.section) {
                section.topics.push(topic.view(id));
            }
        }
        sections.into_values().collect()
    }

    pub fn section(&self, section: &SectionId) -> Option<SectionView> {
        let state = self.state.read();
        let mut view = state.sections.get(section)?.view(section);
        let topics = state.topics.iter().filter(|it| it.1.section == *section);
        view.topics.extend(topics.map(|(id, topic)| topic.view(id)));
        Some(view)
    }

    pub fn section_details(&self, section: &SectionId) -> Option<SectionDetails> {
        let state = self.state.read();
        Some(state.sections.get(section)?.details.clone())
    }

    pub fn topic(&self, topic: &TopicId) -> Option<TopicView> {
        let state = self.state.read();
        Some(state.topics.get(topic)?.view(topic))
    }

    /// Looks at the topic, its section and its digest schedules that are in use, as long as nothing
    /// changes.
    pub fn with_topic<T>(
        &self,
        topic: &TopicId,
        look: impl FnOnce(&SectionId, &TopicDetails, &[String]) -> T,
    ) -> Option<T> {
        let state = self.state.read();
        let topic = state.topics.get(topic)?;
        Some(look(
            &topic.section,
            &topic.stored.details,
            &topic.schedules,
        ))
    }

    /// What `weigh` says of every topic, added up.
    pub fn sum(&self, weigh: impl Fn(&TopicDetails) -> usize) -> usize {
        let state = self.state.read();
        let topics = state.topics.values();
        topics.map(|topic| weigh(&topic.stored.details)).sum()
    }

    pub fn section_count(&self) -> usize {
        self.state.read().sections.len()
    }

    pub fn topic_count(&self) -> usize {
        self.state.read().topics.len()
    }

    /// How many topics are in the section.
    pub fn topics_in(&self, section: &SectionId) -> usize {
        let state = self.state.read();
        let topics = state.topics.values();
        topics.filter(|topic| topic.section == *section).count()
    }

    pub fn published_page(&self) -> Option<PublishedPage> {
        self.state.read().page.clone()
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

impl Stored<SectionDetails> {
    fn view(&self, id: &SectionId) -> SectionView {
        SectionView {
            id: id.clone(),
            details: self.details.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            topics: Vec::new(),
        }
    }
}

impl StoredTopic {
    fn view(&self, id: &TopicId) -> TopicView {
        TopicView {
            id: id.clone(),
            section: self.section.clone(),
            details: self.stored.details.clone(),
            created_at: self.stored.created_at,
            updated_at: self.stored.updated_at,
        }
    }
}

/// A topic with its section, if that is there, as long as nothing changes.
pub(crate) struct TopicInSection<'a> {
    pub(crate) id: &'a TopicId,
    pub(crate) details: &'a TopicDetails,
    pub(crate) schedules: &'a [String],
    pub(crate) section: Option<(&'a SectionId, &'a SectionDetails)>,
}

impl State {
    /// Every topic, in the order of their ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = TopicInSection<'_>> {
        self.topics.iter().map(|(id, topic)| self.shown(id, topic))
    }

    pub(crate) fn one(&self, topic: &TopicId) -> Option<TopicInSection<'_>> {
        let (id, topic) = self.topics.get_key_value(topic)?;
        Some(self.shown(id, topic))
    }

    fn shown<'a>(&'a self, id: &'a TopicId, topic: &'a StoredTopic) -> TopicInSection<'a> {
        let section = self.sections.get_key_value(&topic.section);
        TopicInSection {
            id,
            details: &topic.stored.details,
            schedules: &topic.schedules,
            section: section.map(|(id, stored)| (id, &stored.details)),
        }
    }

    pub(crate) fn apply(&mut self, envelope: &Envelope) {
        let at = envelope.recorded_at;
        match (&envelope.event, &envelope.stream) {
            (Event::Section(event), StreamId::Section(id)) => match event {
                SectionEvent::Created(SectionCreated(details))
                | SectionEvent::Updated(SectionUpdated(details)) => {
                    let before = self.sections.get(id);
                    let stored = Stored {
                        details: details.clone(),
                        created_at: before.map_or(at, |before| before.created_at),
                        updated_at: at,
                    };
                    self.sections.insert(id.clone(), stored);
                }
                SectionEvent::Deleted(_) => drop(self.sections.remove(id)),
            },
            (Event::Topic(event), StreamId::Topic(id)) => match event {
                TopicEvent::Created(TopicCreated { section, details }) => {
                    let topic = StoredTopic {
                        section: section.clone(),
                        stored: Stored {
                            details: details.clone(),
                            created_at: at,
                            updated_at: at,
                        },
                        schedules: schedules_in_use(details),
                    };
                    self.topics.insert(id.clone(), topic);
                }
                TopicEvent::Updated(TopicUpdated(details)) => {
                    if let Some(topic) = self.topics.get_mut(id) {
                        topic.stored.details.clone_from(details);
                        topic.schedules = schedules_in_use(details);
                        topic.stored.updated_at = at;
                    }
                }
                TopicEvent::Deleted(_) => drop(self.topics.remove(id)),
            },
            (Event::PreferencePage(event), _) => match event {
                PreferencePageEvent::Published(published) => {
                    self.page = Some(PublishedPage {
                        published: published.clone(),
                        at,
                    });
                }
            },
            _ => {}
        }
    }
}

impl Topics {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put_all(state.sections.iter())?;
        let topics = state.topics.iter();
        out.put_all(topics.map(|(id, topic)| (id, &topic.section, &topic.stored)))?;
        out.put(&state.page)
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let sections = input.take_into()?;
        let topics = input.take_all()?.map(|topic| {
            let (id, section, stored): (TopicId, SectionId, Stored<TopicDetails>) = topic?;
            let topic = StoredTopic {
                section,
                schedules: schedules_in_use(&stored.details),
                stored,
            };
            Ok((id, topic))
        });
        let topics = topics.collect::<io::Result<_>>()?;
        let page = input.take()?;
        Ok(Self {
            state: RwLock::new(State {
                sections,
                topics,
                page,
            }),
        })
    }
}

impl Projection for Topics {
    const NAME: &'static str = "topics";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        self.state.write().apply(envelope);
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        digest.number(state.sections.len() as u64);
        for (id, section) in &state.sections {
            digest.text(id.as_str());
            section.digest(digest);
        }
        for (id, topic) in &state.topics {
            digest.text(id.as_str());
            digest.text(topic.section.as_str());
            topic.stored.digest(digest);
        }
        if let Some(page) = &state.page {
            digest.json(&page.published);
            digest.number(page.at.0);
        }
    }
}

impl<D: serde::Serialize> Stored<D> {
    fn digest(&self, digest: &mut Digest) {
        digest.json(&self.details);
        digest.number(self.created_at.0);
        digest.number(self.updated_at.0);
    }
}
