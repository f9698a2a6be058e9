use types::Position;

use crate::{EventLog, Frontier, Hash, Head, ReadError, leaf_hash};

/// How much is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;

/// What reading the whole log has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub events: u64,
    pub blocks: u64,
    /// The root recomputed from every record up to the first damage.
    pub root: Hash,
    /// The first damage; what follows it cannot be judged.
    pub damage: Option<Damage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub position: Position,
    /// Everything up to here is good.
    pub last_good: Position,
    pub what: String,
}

/// Reads everything: checksums, contiguous positions, whether the index lists every record, and the
/// tree recomputed from every record and compared with the roots in every block. Needs no more memory for a longer log.
pub fn verify(log: &dyn EventLog, progress: &mut dyn FnMut(Position)) -> Report {
    let mut scan = Scan::of(log);
    loop {
        match scan.next(&mut |_| ()) {
            Ok(Some(_)) => progress(scan.position()),
            Ok(None) => return scan.report(None),
            Err(error) => return scan.report(Some(error)),
        }
    }
}

/// The reading of [`verify`], a piece at a time, up to the head that the log had when it began.
pub struct Scan<'a> {
    log: &'a dyn EventLog,
    head: Head,
    frontier: Frontier,
    blocks: u64,
}

impl<'a> Scan<'a> {
    pub fn of(log: &'a dyn EventLog) -> Self {
        Self {
            head: log.head(),
            log,
            frontier: Frontier::default(),
            blocks: 0,
        }
    }

    /// Everything up to here was read and is good.
    pub fn position(&self) -> Position {
        Position(self.frontier.size())
    }

    /// Reads on, hands over the hash of every leaf, and says how many bytes it read, as stored; `None` at
    /// the end.
    pub fn next(&mut self, leaf: &mut dyn FnMut(Hash)) -> Result<Option<usize>, ReadError> {
        let next = self.position().next();
        if next > self.head.position {
            return self.finish().map(|()| None);
        }
        let piece = self.log.read(next, PIECE_BYTES)?;
        if piece.is_empty() {
            return Err(ReadError::damaged(next, "the log ends before its head"));
        }
        let mut bytes = 0;
        for raw in piece {
            // What was written since the beginning is for the next reading.
            if raw.header().first > self.head.position {
                break;
            }
            bytes += raw.as_bytes().len();
            let expected = self.position().next();
            let damaged = |what: &str| ReadError::damaged(expected, what);
            let block = raw.decode()?;
            let header = block.header();
            if header.first != expected {
                return Err(damaged("the next block begins at another position"));
            }
            if header.root_before != self.frontier.root() {
                return Err(damaged("the tree before the block has another root"));
            }
            let mut after = self.frontier.clone();
            let mut leaves = Vec::new();
            for (bytes, record) in block.record_bytes().zip(block.records()) {
                let record = record?;
                if !self.log.index().lists(&record) {
                    let what = "the index does not list the record";
                    return Err(ReadError::damaged(record.position, what));
                }
                leaves.push(leaf_hash(bytes));
                after.append(leaves[leaves.len() - 1]);
            }
            if header.root_after != after.root() {
                return Err(damaged("the tree after the block has another root"));
            }
            self.frontier = after;
            self.blocks += 1;
            leaves.into_iter().for_each(&mut *leaf);
        }
        Ok(Some(bytes))
    }

    pub fn report(&self, damage: Option<ReadError>) -> Report {
        let last_good = self.position();
        let damage = damage.map(|error| match error {
            ReadError::Damaged { position, what } => Damage {
                position,
                last_good,
                what,
            },
            ReadError::Io(what) => Damage {
                position: last_good.next(),
                last_good,
                what,
            },
        });
        Report {
            events: self.frontier.size(),
            blocks: self.blocks,
            root: self.frontier.root(),
            damage,
        }
    }

    fn finish(&self) -> Result<(), ReadError> {
        if self.position() == self.head.position && self.frontier.root() == self.head.root {
            return Ok(());
        }
        let what = "the head of the log has another root";
        Err(ReadError::damaged(self.position(), what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryLog;
    use crate::conformance::record;

    #[test]
    fn what_is_written_meanwhile_is_for_the_next_reading() {
        let log = MemoryLog::default();
        log.append(&[record(0, 9), record(1, 9)]).expect("written");
        let head = log.head();
        let mut scan = Scan::of(&log);
        log.append(&[record(2, 9)]).expect("written");
        let mut leaves = 0;
        while scan.next(&mut |_| leaves += 1).expect("good").is_some() {}
        let report = scan.report(None);
        assert_eq!((report.events, report.root, leaves), (2, head.root, 2));
        assert_eq!(verify(&log, &mut |_| ()).events, 3);
    }
}
