use types::filter::Set;
use types::{AudienceId, SubjectId, Timestamp};

use super::state::{Others, Sets, State};

/// How one audience stands to what its rule says, for some of the people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheck {
    /// Where to go on; nothing after the last one.
    pub next: Option<SubjectId>,
    /// People for whom the index and the rule disagree.
    pub divergent: Vec<SubjectId>,
}

impl State {
    /// What the rule says of some people by itself, compared with who is in the audience: of those
    /// from a number on, as many as have so many bytes of profiles. Where to go on, and about whom
    /// the two disagree.
    pub(crate) fn check(
        &self,
        audience: &AudienceId,
        from: SubjectId,
        bytes_max: usize,
        others: Others<'_>,
    ) -> Option<(Option<SubjectId>, Vec<SubjectId>)> {
        let number = *self.numbers.get(audience)?;
        let audience = self.audience(number);
        let rule = audience.rule.as_ref().map(|rule| &rule.group);
        let mut divergent = Vec::new();
        let mut bytes = 0;
        for row in from.0..others.attributes.end() {
            if bytes >= bytes_max {
                return Some((Some(SubjectId(row)), divergent));
            }
            let document = others.attributes.document(SubjectId(row));
            // Somebody without a profile costs a look, too.
            bytes += 64 + document.as_ref().map_or(0, |it| it.as_str().len());
            let facts = document.map(|document| PersonFacts {
                profile: document.to_object(),
                document_bytes: document.as_str().len(),
                state: self,
                sets: others.sets,
                row,
            });
            let holds = match (&facts, rule) {
                (Some(facts), Some(rule)) => rule.matches(facts),
                _ => false,
            };
            if holds != audience.members.contains(row) {
                divergent.push(SubjectId(row));
            }
        }
        Some((None, divergent))
    }

    pub(crate) fn facts<'a>(
        &'a self,
        subject: SubjectId,
        others: Others<'a>,
    ) -> Option<PersonFacts<'a>> {
        let document = others.attributes.document(subject)?;
        Some(PersonFacts {
            profile: document.to_object(),
            document_bytes: document.as_str().len(),
            state: self,
            sets: others.sets,
            row: subject.0,
        })
    }
}

/// What a rule can ask about one person, the profile as it is stored.
pub(crate) struct PersonFacts<'a> {
    profile: serde_json::Map<String, serde_json::Value>,
    document_bytes: usize,
    state: &'a State,
    sets: Sets<'a>,
    row: u32,
}

impl PersonFacts<'_> {
    /// About how much was read to know them.
    pub(crate) fn bytes(&self) -> usize {
        self.document_bytes
    }
}

impl types::filter::Facts for PersonFacts<'_> {
    fn attribute(&self, path: &types::AttributePath) -> Option<&serde_json::Value> {
        path.resolve(&self.profile)
    }

    fn is_member(&self, set: &Set) -> bool {
        self.state.is_member(set, self.row, self.sets)
    }

    fn now(&self) -> Timestamp {
        self.state.last.at
    }
}
