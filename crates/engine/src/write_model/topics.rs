use domain::limits::SECTIONS_MAX;
use domain::{
    Brand, BrandCommand, Decider, Section, SectionCommand, SectionRefusal, Topic, TopicCommand,
    TopicPut, TopicState,
};
use events::{BrandDetails, SectionDetails};
use types::{BrandId, SectionId, StreamId, TopicId};

use super::{Decided, WriteModel};
use crate::command::{Edit, Refusal};

impl WriteModel {
    pub(super) fn section(
        &mut self,
        section: &SectionId,
        edit: Edit<SectionDetails>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.section_details(section);
        let command = match edit {
            Edit::Create(details) => SectionCommand::Create(details),
            Edit::Replace(details) => SectionCommand::Replace(details),
            Edit::Delete => SectionCommand::Delete {
                topics: self.topics_in(section),
            },
        };
        let creates = matches!(command, SectionCommand::Create(_));
        let events = Section::decide(&state, command)?;
        if creates && self.section_count() >= SECTIONS_MAX {
            return Err(Refusal::TooManySections);
        }
        for event in events {
            Section::evolve(&mut state, &event);
            let stream = StreamId::Section(section.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.sections.insert(section.clone(), state.clone());
        }
        Ok(())
    }

    pub(super) fn topic(
        &mut self,
        section: SectionId,
        topic: &TopicId,
        edit: Edit<TopicPut>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let command = match edit {
            Edit::Create(put) => {
                if self.section_details(&section).is_none() {
                    return Err(SectionRefusal::NotFound.into());
                }
                TopicCommand::Create {
                    section,
                    put,
                    topics: self.topic_count(),
                }
            }
            Edit::Replace(put) => TopicCommand::Replace { section, put },
            Edit::Delete => TopicCommand::Delete { section },
        };
        self.decide_topic(topic, command, decided)
    }

    pub(super) fn remove_digest(
        &mut self,
        section: SectionId,
        topic: &TopicId,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        self.decide_topic(topic, TopicCommand::RemoveDigest { section }, decided)
    }

    fn decide_topic(
        &mut self,
        topic: &TopicId,
        command: TopicCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.topic_state(topic);
        for event in Topic::decide(&state, command)? {
            Topic::evolve(&mut state, &event);
            let stream = StreamId::Topic(topic.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.topics.insert(topic.clone(), state.clone());
        }
        Ok(())
    }

    pub(super) fn brand(
        &mut self,
        brand: &BrandId,
        edit: Edit<BrandDetails>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = match self.group.brands.get(brand) {
            Some(decided) => decided.clone(),
            None => self.committed.brands.get(brand).map(|view| view.details),
        };
        let command = match edit {
            Edit::Create(details) => BrandCommand::Create(details),
            Edit::Replace(details) => BrandCommand::Replace(details),
            Edit::Delete => BrandCommand::Delete {
                in_use: self.uses_brand(brand),
            },
        };
        for event in Brand::decide(&state, command)? {
            Brand::evolve(&mut state, &event);
            let stream = StreamId::Brand(brand.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.brands.insert(brand.clone(), state.clone());
        }
        Ok(())
    }

    /// Whether a tenant or the preference page uses the brand. A tenant that gave it up in this very
    /// group still counts: whoever deletes the brand at the same time may as well have come first.
    fn uses_brand(&self, brand: &BrandId) -> bool {
        let page = self.group.page.clone().or_else(|| {
            let page = self.committed.topics.published_page();
            page.map(|page| page.published)
        });
        let mut decided = self.group.tenants.values().flatten();
        page.and_then(|page| page.brand_id).as_deref() == Some(brand.as_str())
            || self.committed.tenants.uses_brand(brand)
            || decided.any(|details| details.brand_id.as_ref() == Some(brand))
    }

    fn section_details(&self, section: &SectionId) -> Option<SectionDetails> {
        match self.group.sections.get(section) {
            Some(decided) => decided.clone(),
            None => self.committed.topics.section_details(section),
        }
    }

    fn section_count(&self) -> usize {
        let committed = |id: &SectionId| self.committed.topics.section_details(id).is_some();
        let decided = self.group.sections.iter();
        let (mut new, mut gone) = (0, 0);
        for (id, details) in decided {
            new += usize::from(details.is_some() && !committed(id));
            gone += usize::from(details.is_none() && committed(id));
        }
        self.committed.topics.section_count() + new - gone
    }

    pub(super) fn topic_state(&self, topic: &TopicId) -> TopicState {
        match self.group.topics.get(topic) {
            Some(decided) => decided.clone(),
            None => self.committed_topic(topic),
        }
    }

    fn committed_topic(&self, topic: &TopicId) -> TopicState {
        match self.committed.topics.topic(topic) {
            Some(view) => TopicState::Present {
                section: view.section,
                details: view.details,
            },
            None => TopicState::Absent,
        }
    }

    fn topic_count(&self) -> usize {
        let present = |state: &TopicState| usize::from(*state != TopicState::Absent);
        let decided = self.group.topics.iter();
        let (mut new, mut gone) = (0, 0);
        for (id, state) in decided {
            new += present(state);
            gone += present(&self.committed_topic(id));
        }
        self.committed.topics.topic_count() + new - gone
    }

    fn topics_in(&self, asked: &SectionId) -> usize {
        let within = |state: &TopicState| match state {
            TopicState::Present { section, .. } => usize::from(section == asked),
            TopicState::Absent => 0,
        };
        let (mut new, mut gone) = (0, 0);
        for (id, state) in &self.group.topics {
            new += within(state);
            gone += within(&self.committed_topic(id));
        }
        self.committed.topics.topics_in(asked) + new - gone
    }
}
