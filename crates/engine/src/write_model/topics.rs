use domain::limits::SECTIONS_MAX;
use domain::{
    Decider, Section, SectionCommand, SectionRefusal, Topic, TopicCommand, TopicPut, TopicState,
    Topics, topic_bytes,
};
use events::SectionDetails;
use types::{SectionId, StreamId, TopicId};

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
                    others: self.topics_besides(topic),
                }
            }
            Edit::Replace(put) => TopicCommand::Replace {
                section,
                put,
                others: self.topics_besides(topic),
            },
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

    pub(super) fn section_details(&self, section: &SectionId) -> Option<SectionDetails> {
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

    /// All topics but this one, as the group leaves them.
    fn topics_besides(&self, besides: &TopicId) -> Topics {
        let weigh = |state: &TopicState| match state.details() {
            Some(details) => (1, topic_bytes(details)),
            None => (0, 0),
        };
        let committed = &self.committed.topics;
        let (mut count, mut bytes) = (committed.topic_count(), committed.sum(topic_bytes));
        for (id, state) in &self.group.topics {
            let ((new, new_bytes), (gone, gone_bytes)) =
                (weigh(state), weigh(&self.committed_topic(id)));
            count = count + new - gone;
            bytes = bytes + new_bytes - gone_bytes;
        }
        let (itself, itself_bytes) = weigh(&self.topic_state(besides));
        Topics {
            count: count - itself,
            bytes: bytes - itself_bytes,
        }
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
