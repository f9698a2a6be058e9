use std::collections::HashSet;
use std::sync::mpsc;

use super::columns::{BadCell, USER_ID};
use super::rows::{Place, Row, Rows};

/// Bytes of users in one request: well below what the server takes.
const REQUEST_BYTES: usize = 2 * 1024 * 1024;
/// The largest user that is sent: with what a request holds already it stays below what the server
/// takes.
const USER_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Some rows, ready to be sent.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) sent: Vec<SentRow>,
    /// Rows that cannot be sent.
    pub(super) bad: Vec<BadRow>,
    /// Where the next batch begins.
    pub(super) end: Place,
    user_ids: HashSet<String>,
    bytes: usize,
}

/// A row that is sent.
pub(super) struct SentRow {
    pub(super) number: u64,
    pub(super) line: u64,
    pub(super) user_id: String,
    /// The user as JSON.
    pub(super) text: String,
}

pub(super) struct BadRow {
    pub(super) number: u64,
    pub(super) line: u64,
    pub(super) cell: BadCell,
}

/// Reads the whole file in batches of at most so many rows. What was read before the file turned out to
/// be unreadable is a batch too. Stops quietly where nobody takes them any more.
pub(super) fn read_all(
    mut rows: Rows,
    at_most: usize,
    batches: &mpsc::SyncSender<Batch>,
) -> anyhow::Result<()> {
    let mut batch = Batch::default();
    let failed = loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            Err(failed) => break Err(failed),
        };
        batch.add(row);
        if batch.rows() == at_most || batch.bytes > REQUEST_BYTES {
            let full = std::mem::take(&mut batch);
            if batches.send(full).is_err() {
                return Ok(());
            }
        }
    };
    if batch.rows() > 0 {
        // Whoever does not take it has a failure of their own to tell.
        let _ = batches.send(batch);
    }
    failed
}

impl Batch {
    fn rows(&self) -> usize {
        self.sent.len() + self.bad.len()
    }

    fn add(&mut self, row: Row) {
        let (number, line) = (row.number, row.line);
        self.end = row.end;
        let sized = row.user.and_then(|user| {
            let text = user.to_string();
            if text.len() > USER_BYTES_MAX {
                return Err(BadCell {
                    column: None,
                    message: format!("the user takes more than {USER_BYTES_MAX} bytes of JSON"),
                });
            }
            let user_id = user[USER_ID].as_str().unwrap_or_default().to_owned();
            Ok((user_id, text))
        });
        match sized {
            Ok((user_id, text)) => {
                self.bytes += text.len();
                self.user_ids.insert(user_id.clone());
                self.sent.push(SentRow {
                    number,
                    line,
                    user_id,
                    text,
                });
            }
            Err(cell) => self.bad.push(BadRow { number, line, cell }),
        }
    }

    /// Whether one of the users stands in both.
    pub(super) fn shares_users(&self, other: &Self) -> bool {
        !self.user_ids.is_disjoint(&other.user_ids)
    }
}
