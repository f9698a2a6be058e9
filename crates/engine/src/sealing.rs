//! The payload of a record: what is of nobody in the clear, what is of people sealed.
//!
//! ```text
//! count    varint, how many personal values there are
//! each:
//!   owner  varint: n for the n-th of the record's subjects, from 1; 0 for several people, and then
//!   epoch  varint, of their key
//!   value  length varint, sealed bytes; none if it was erased when the record was made
//! open     all that is left
//! ```

use event_log::{Reader, Record, put_bytes, put_varint};
use events::{DecodeError, Metadata, Payload, PersonalBytes};
use types::{EventId, SubjectId};
use vault::{Forged, Label, Owner, Vault};

/// Personal values of one event, at most: a payload has hardly more than one for each of its people.
const VALUES_MAX: usize = 64 * 1024;

/// Why the payload of a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the payload is not laid out as one: {0}")]
    Layout(&'static str),
    /// Nothing can be recorded of somebody who is erased.
    #[error("the key of {0:?} is destroyed, and something was to be recorded under it")]
    KeyGone(Owner),
    #[error(transparent)]
    Forged(#[from] Forged),
    #[error(transparent)]
    Metadata(#[from] DecodeError),
}

/// Lays the payload out, with each personal value under the key of whose it is.
///
/// # Errors
/// If that key is destroyed: what cannot be read again must not be acknowledged.
pub(crate) fn seal(
    payload: &Payload,
    subjects: &[SubjectId],
    event: EventId,
    vault: &Vault,
) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::with_capacity(payload.open.len() + 64);
    put_varint(&mut out, payload.personal.len() as u64);
    for (field, PersonalBytes { place, value }) in (0..).zip(&payload.personal) {
        let label = Label {
            event: event.0,
            field,
        };
        let owner = if let Some(subject) = subjects.get(*place as usize) {
            put_varint(&mut out, u64::from(*place) + 1);
            Owner::Person(*subject)
        } else {
            let epoch = vault.epoch();
            put_varint(&mut out, 0);
            put_varint(&mut out, u64::from(epoch));
            Owner::Several { epoch }
        };
        let sealed = match value {
            Some(value) => vault.seal(owner, label, value),
            None => Some(Vec::new()),
        };
        put_bytes(&mut out, &sealed.ok_or(SealError::KeyGone(owner))?);
    }
    out.extend_from_slice(&payload.open);
    Ok(out)
}

/// The reverse of [`seal`]: what is erased is without a value.
pub(crate) fn open(record: &Record<'_>, vault: &Vault) -> Result<Payload, SealError> {
    let mut reader = Reader(record.payload);
    let count = reader.varint().map_err(SealError::Layout)?;
    if count == 0 {
        // Most events of most logs say nothing of people, and need no id.
        let open = reader.0.to_vec();
        let personal = Vec::new();
        return Ok(Payload { open, personal });
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > VALUES_MAX {
        return Err(SealError::Layout("there are too many personal values"));
    }
    let metadata = Metadata::decode(record.metadata)?;
    let event = EventId::of(metadata.command_id, metadata.ordinal).0;
    let mut personal = Vec::with_capacity(count.min(record.payload.len()));
    for field in (0..).take(count) {
        let (place, owner) = owner(&mut reader, record)?;
        let sealed = reader.bytes().map_err(SealError::Layout)?;
        let value = if sealed.is_empty() {
            None
        } else {
            vault.open_sealed(owner, Label { event, field }, sealed)?
        };
        personal.push(PersonalBytes { place, value });
    }
    let open = reader.0.to_vec();
    Ok(Payload { open, personal })
}

fn owner(reader: &mut Reader<'_>, record: &Record<'_>) -> Result<(u32, Owner), SealError> {
    let owner = reader.number().map_err(SealError::Layout)?;
    let Some(place) = owner.checked_sub(1) else {
        let epoch = reader.number().map_err(SealError::Layout)?;
        return Ok((0, Owner::Several { epoch }));
    };
    let subject = record.subjects.iter().nth(place as usize);
    let subject = subject.ok_or(SealError::Layout(
        "a value is of nobody whom the record names",
    ))?;
    Ok((place, Owner::Person(subject)))
}
