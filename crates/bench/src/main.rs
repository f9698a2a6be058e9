//! One table of ratios: each row measures the server and a baseline in turn, in the same run, and
//! gives the median. Absolute numbers drift with the machine; ratios hold.

mod audiences;
mod client;
mod counting_log;
mod engine_writes;
mod http;
mod past;
mod postgres;
mod replay;
mod sending;
mod table;
mod world;

use table::Table;

/// Measurements per row, of each side.
pub(crate) const RUNS: usize = 5;

fn main() -> anyhow::Result<()> {
    // `make bench ONLY=http` measures one part.
    let only = std::env::args().nth(1);
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut table = Table::start()?;
    if wanted("writes") {
        engine_writes::run(&mut table)?;
    }
    if wanted("postgres") {
        postgres::run(&mut table)?;
    }
    if wanted("http") {
        http::run(&mut table)?;
    }
    if wanted("replay") {
        replay::run(&mut table)?;
    }
    // A year of ten million events takes minutes to write, so it is measured only when it is asked for.
    if only.as_deref() == Some("past") {
        past::run(&mut table)?;
    }
    if wanted("audiences") {
        audiences::run(&mut table)?;
    }
    if wanted("sending") {
        sending::run(&mut table)?;
    }
    Ok(())
}
