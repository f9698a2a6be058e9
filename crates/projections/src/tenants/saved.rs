//! What a snapshot holds of the tenants. What follows from it is worked out again.

use std::io;

use events::codec::{Decoder, Encoder};
use parking_lot::RwLock;
use types::{SubjectId, TenantId};

use super::{LiveTenant, State, StoredTenant, Tenants};
use crate::members::Members;

impl Tenants {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put(&(state.tenants.len() as u64))?;
        for tenant in &state.tenants {
            out.put(&(&tenant.id, &tenant.live))?;
            tenant.members.save(out)?;
        }
        Ok(())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State::default();
        let tenants: u64 = input.take()?;
        for number in (0..).take(usize::try_from(tenants).unwrap_or(usize::MAX)) {
            let (id, live): (TenantId, Option<LiveTenant>) = input.take()?;
            let members = Members::restore(input)?;
            for subject in members.subjects() {
                // Tenants come in the order of their numbers, so each person's stay sorted.
                let tenants = state.of_subject.entry(SubjectId(subject)).or_default();
                tenants.push(number);
            }
            state.everybody |= members.subjects();
            if let Some(live) = &live {
                state.note_references(&id, None, Some(&live.details));
            }
            state.numbers.insert(id.clone(), number);
            state.tenants.push(StoredTenant { id, live, members });
        }
        Ok(Self {
            state: RwLock::new(state),
        })
    }
}
