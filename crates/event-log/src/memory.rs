use parking_lot::RwLock;
use types::Position;

use crate::{
    AppendError, BlockIndex, EventLog, Frontier, Head, LogIndex, NewRecord, RawBlock, ReadError,
    Stats, check_limits, fill,
};

/// The log in memory: for tests, and as the simplest thing that keeps the trait's rules.
#[derive(Default)]
pub struct MemoryLog {
    state: RwLock<State>,
    index: LogIndex,
}

#[derive(Default)]
struct State {
    blocks: Vec<RawBlock>,
    frontier: Frontier,
}

impl EventLog for MemoryLog {
    fn append(&self, group: &[NewRecord]) -> Result<Head, AppendError> {
        check_limits(group)?;
        let mut state = self.state.write();
        let mut rest = group;
        while !rest.is_empty() {
            let first = Position(state.frontier.size() + 1);
            let records = fill(first, rest);
            let (taken, later) = rest.split_at(records.len());
            let block = RawBlock::encode(first, &records, &mut state.frontier);
            state.blocks.push(block);
            self.index
                .extend(&BlockIndex::of(first, taken))
                .map_err(|error| AppendError::Write(error.to_string()))?;
            rest = later;
        }
        drop(state);
        Ok(self.head())
    }

    fn head(&self) -> Head {
        let state = self.state.read();
        Head {
            position: Position(state.frontier.size()),
            root: state.frontier.root(),
        }
    }

    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<RawBlock>, ReadError> {
        let state = self.state.read();
        let start = state
            .blocks
            .partition_point(|block| block.header().last() < from);
        let mut bytes = 0;
        Ok(state.blocks[start..]
            .iter()
            .take_while(|block| {
                let wanted = bytes == 0 || bytes < bytes_max;
                bytes += block.as_bytes().len();
                wanted
            })
            .cloned()
            .collect())
    }

    fn index(&self) -> &LogIndex {
        &self.index
    }

    fn stats(&self) -> Result<Stats, ReadError> {
        let state = self.state.read();
        let blocks = state.blocks.len() as u64;
        Ok(Stats {
            events: state.frontier.size(),
            blocks,
            disk_bytes: 0,
            blobs: 0,
        })
    }

    fn release_memory(&self) -> Result<(), ReadError> {
        Ok(())
    }
}
