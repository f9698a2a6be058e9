//! A tree over the records about one tenant, in their order: its head, once it stands in the log, says
//! how many there are and which, so that none can be left out of what the tenant is given.

use std::collections::HashMap;

use event_log::{EventLog, Frontier, Hash, Record, leaf_hash};
use events::Metadata;
use types::{Position, TenantId};

use crate::history::HistoryError;
use crate::record::RecordError;

/// How much of the log is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;
/// Tenants of which the tree is kept, so that the next head takes only what was written since.
const KEPT_MAX: usize = 1_000;

/// How many records there are about a tenant, and the root of the tree over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantHead {
    pub size: u64,
    pub root: Hash,
    /// Up to where in the log; later records are not looked at.
    pub through: Position,
}

/// Trees that were asked for lately.
#[derive(Default)]
pub(crate) struct TenantTrees(HashMap<TenantId, Tree>);

#[derive(Clone, Default)]
struct Tree {
    frontier: Frontier,
    through: Position,
}

/// The tenant that a record is about: that of its stream, or the context in which something happened.
pub fn tenant_of(record: &Record<'_>) -> Result<Option<String>, RecordError> {
    Ok(Metadata::decode(record.metadata)?.tenant_id)
}

impl TenantTrees {
    /// The head of the tenant's tree over the log up to `until`, read from where it was left the last
    /// time.
    pub(crate) fn head(
        &mut self,
        log: &dyn EventLog,
        tenant: &TenantId,
        until: Position,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<TenantHead, HistoryError> {
        if self.0.len() == KEPT_MAX && !self.0.contains_key(tenant) {
            self.0.clear();
        }
        let tree = self.0.entry(tenant.clone()).or_default();
        while tree.through < until {
            if !still_wanted() {
                return Err(HistoryError::Busy);
            }
            tree.read_on(log, tenant, until)?;
        }
        Ok(TenantHead {
            size: tree.frontier.size(),
            root: tree.frontier.root(),
            through: tree.through,
        })
    }
}

impl Tree {
    fn read_on(
        &mut self,
        log: &dyn EventLog,
        tenant: &TenantId,
        until: Position,
    ) -> Result<(), HistoryError> {
        for raw in log.read(self.through.next(), PIECE_BYTES)? {
            let block = raw.decode()?;
            for (record, bytes) in block.records().zip(block.record_bytes()) {
                let record = record?;
                if record.position > self.through && record.position <= until {
                    if is_about(&record, tenant)? {
                        self.frontier.append(leaf_hash(bytes));
                    }
                    self.through = record.position;
                }
            }
        }
        Ok(())
    }
}

fn is_about(record: &Record<'_>, tenant: &TenantId) -> Result<bool, RecordError> {
    // Most records do not even hold the letters, which is told without decoding.
    let letters = tenant.as_str().as_bytes();
    let may_be = record
        .metadata
        .windows(letters.len())
        .any(|it| it == letters);
    Ok(may_be && tenant_of(record)?.is_some_and(|it| it == tenant.as_str()))
}
