//! SIGKILL at random moments: what the kernel was given survives, what was not is gone.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::budget::Budget;
use crate::load::{Connection, Journal, Load};
use crate::oracle::{Export, check_journal, check_profiles, examine};
use crate::process::Server;
use crate::random::Random;
use crate::report::{Fault, Report};
use crate::tree::Tree;

const CLIENTS: usize = 4;
/// Kills of one data directory before the next begins: long enough to meet what recovery left
/// behind, short enough that exports stay small.
const CHAIN_KILLS: usize = 10;

#[test]
fn killed_servers_lose_nothing_that_was_acknowledged() {
    let report = Report::new("kills");
    Budget::from_env("MUSTER_CRASH_KILLS", 10)
        .spend("kills", |budget, random| chain(budget, random, &report))
        .unwrap();
    report.finish();
}

/// One data directory, killed again and again.
fn chain(budget: &Budget, random: &mut Random, report: &Report) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data_dir = directory.path().join("data");
    let mut known = Vec::new();
    let mut last = Journal::default();
    for kill in 0..CHAIN_KILLS {
        if !budget.take() {
            break;
        }
        report.count(|tally| tally.kills += 1);
        let what = format!("kill {kill} of a chain");
        if random.percent(15) {
            kill_early(&data_dir, random)?;
        } else {
            let Some(journal) = kill_under_load(&data_dir, &last, &what, random, report)? else {
                return Ok(());
            };
            last = journal;
        }
        if !data_dir.exists() {
            continue;
        }
        let state = Tree::read(directory.path())?;
        // Sometimes the server itself is the first to open what the kill left.
        if random.percent(70) || kill + 1 == CHAIN_KILLS || budget.is_spent() {
            let Some(export) = read_killed(&data_dir, &what, &state, report)? else {
                return Ok(());
            };
            check_journal(&export, &last, &what, Some(&state), report)?;
            if !export.text.starts_with(&known) {
                report.find(
                    Fault::Loss,
                    &format!("{what}: the past changed"),
                    Some(&state),
                );
            }
            known = export.text;
        }
    }
    Ok(())
}

fn read_killed(
    data_dir: &Path,
    what: &str,
    state: &Tree,
    report: &Report,
) -> Result<Option<Export>> {
    // A kill during creation may leave a store that only a server is to complete.
    if state.file(Path::new("data/head")).is_none() {
        match Server::start(data_dir, None)? {
            Ok(server) => drop(server.stop()?),
            Err(outcome) => {
                report.find_failure(Fault::WouldNotOpen, what, &outcome, Some(state));
                return Ok(None);
            }
        }
    }
    examine(data_dir, what, Some(state), report)
}

/// Kills while the server starts, or is about to.
fn kill_early(data_dir: &Path, random: &mut Random) -> Result<()> {
    let server = Server::spawn(data_dir, None)?;
    // This is the moment of the fault, not a wait for anything.
    thread::sleep(Duration::from_micros(u64::try_from(random.below(60_000))?));
    server.kill()
}

fn kill_under_load(
    data_dir: &Path,
    last: &Journal,
    what: &str,
    random: &mut Random,
    report: &Report,
) -> Result<Option<Journal>> {
    let state = if data_dir.exists() {
        Some(Tree::read(data_dir)?)
    } else {
        None
    };
    let server = match Server::start(data_dir, None)? {
        Ok(server) => server,
        Err(outcome) => {
            report.find_failure(Fault::WouldNotOpen, what, &outcome, state.as_ref());
            return Ok(None);
        }
    };
    let connection = Connection::new(&server.url);
    let head = connection.get("/readyz")?.position;
    if head < last.highest_position() {
        let message = format!(
            "{what}: restarted at {head}, {} known",
            last.highest_position()
        );
        report.find(Fault::Loss, &message, state.as_ref());
    }
    check_profiles(&connection, last, what, state.as_ref(), report)?;
    let load = Load::start(&server.url, CLIENTS, random);
    load.wait_for(random.between(1, 150))?;
    thread::sleep(Duration::from_micros(u64::try_from(random.below(3_000))?));
    server.kill()?;
    Ok(Some(load.finish()))
}
