//! What a snapshot holds of the lists. What follows from it is worked out again.

use std::io;

use events::codec::{Decoder, Encoder};
use parking_lot::RwLock;

use super::{ListStatus, Lists, State, StoredList, remember};
use crate::members::Members;

impl Lists {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put(&(state.lists.len() as u64))?;
        for list in &state.lists {
            out.put(&(&list.id, list.status, &list.name, &list.preferences))?;
            out.put(&(list.created_at, list.updated_at))?;
            list.members.save(out)?;
        }
        Ok(())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State::default();
        let lists: u64 = input.take()?;
        for number in (0..).take(usize::try_from(lists).unwrap_or(usize::MAX)) {
            let (id, status, name, preferences) = input.take()?;
            let (created_at, updated_at) = input.take()?;
            let list = StoredList {
                id,
                status,
                name,
                preferences,
                created_at,
                updated_at,
                members: Members::restore(input)?,
            };
            for subject in list.members.subjects() {
                remember(&mut state.of_subject, types::SubjectId(subject), number);
            }
            if list.status == ListStatus::Live {
                state.everybody |= list.members.subjects();
            }
            state.numbers.insert(list.id.clone(), number);
            state.lists.push(list);
        }
        Ok(Self {
            state: RwLock::new(state),
        })
    }
}
