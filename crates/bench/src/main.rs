//! One table of ratios: each row measures the server and a baseline in turn, in the same run, and
//! gives the median. Absolute numbers drift with the machine; ratios hold.

mod engine_writes;
mod http;
mod postgres;
mod replay;
mod table;

use table::Table;

/// Measurements per row, of each side.
pub(crate) const RUNS: usize = 5;

fn main() -> anyhow::Result<()> {
    let mut table = Table::start()?;
    let alone = engine_writes::run(&mut table)?;
    postgres::run(&mut table, alone)?;
    http::run(&mut table)?;
    replay::run(&mut table)?;
    Ok(())
}
