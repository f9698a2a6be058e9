use std::io;

use events::codec::{Decoder, Encoder};
use parking_lot::RwLock;
use types::{Position, SubjectId};

use super::request::{Marks, People, Request, Turn};
use super::{Messages, State};

impl Messages {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put_all(state.requests.iter())?;
        let mut marks: Vec<_> = state.marks.iter().collect();
        marks.sort_unstable_by_key(|(place, _)| **place);
        out.put_all(marks.into_iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State::default();
        for entry in input.take_all::<(Position, Request)>()? {
            let (position, mut request) = entry?;
            state.by_id.insert(request.id.clone(), position);
            match &mut request.people {
                People::One { subject, .. } => {
                    state.of_person.entry(*subject).or_default().push(position);
                }
                People::Many(many) => {
                    many.index();
                    state.of_many.insert(position);
                }
            }
            state.queue(position, Turn::Done, request.turn());
            state.requests.insert(position, request);
        }
        for entry in input.take_all::<((Position, SubjectId), Marks)>()? {
            let (place, marks) = entry?;
            state.marks.insert(place, marks);
        }
        Ok(Self {
            state: RwLock::new(state),
        })
    }
}
