use types::Position;

use crate::{EventLog, Frontier, Hash, ReadError, leaf_hash};

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
    let mut frontier = Frontier::default();
    let mut blocks = 0;
    let damage = check(log, &mut frontier, &mut blocks, progress)
        .err()
        .map(|error| {
            let last_good = Position(frontier.size());
            match error {
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
            }
        });
    Report {
        events: frontier.size(),
        blocks,
        root: frontier.root(),
        damage,
    }
}

fn check(
    log: &dyn EventLog,
    frontier: &mut Frontier,
    blocks: &mut u64,
    progress: &mut dyn FnMut(Position),
) -> Result<(), ReadError> {
    let head = log.head();
    while frontier.size() < head.position.0 {
        let next = Position(frontier.size() + 1);
        let piece = log.read(next, PIECE_BYTES)?;
        if piece.is_empty() {
            return Err(ReadError::damaged(next, "the log ends before its head"));
        }
        for raw in piece {
            let expected = Position(frontier.size() + 1);
            let damaged = |what: &str| ReadError::damaged(expected, what);
            let block = raw.decode()?;
            let header = block.header();
            if header.first != expected {
                return Err(damaged("the next block begins at another position"));
            }
            if header.root_before != frontier.root() {
                return Err(damaged("the tree before the block has another root"));
            }
            let mut after = frontier.clone();
            for (bytes, record) in block.record_bytes().zip(block.records()) {
                let record = record?;
                if !log.index().lists(&record) {
                    let what = "the index does not list the record";
                    return Err(ReadError::damaged(record.position, what));
                }
                after.append(leaf_hash(bytes));
            }
            if header.root_after != after.root() {
                return Err(damaged("the tree after the block has another root"));
            }
            *frontier = after;
            *blocks += 1;
        }
        progress(Position(frontier.size()));
    }
    if frontier.size() != head.position.0 || frontier.root() != head.root {
        let end = Position(frontier.size());
        return Err(ReadError::damaged(
            end,
            "the head of the log has another root",
        ));
    }
    Ok(())
}
