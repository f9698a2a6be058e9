//! A full disk and syncs that fail: the process says so and ends, and nothing acknowledged is lost.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::load::{Journal, Load};
use crate::oracle::{check_journal, examine};
use crate::process::{Outcome, Server, Strace};
use crate::random::Random;
use crate::report::{Fault, Report};
use crate::tree::Tree;

const CLIENTS: usize = 4;
/// More than enough for the fault to come, whichever thread it counts in.
const ANSWERS_MAX: usize = 3_000;
/// Faults of each kind, on one data directory.
const ROUNDS: usize = 3;

#[test]
fn a_full_disk_stops_the_server_and_loses_nothing() {
    let report = Report::new("full disk");
    rounds("full disk", "pwrite64:error=ENOSPC", &report).unwrap();
    report.finish();
}

#[test]
fn a_failing_sync_stops_the_server_and_loses_nothing() {
    let report = Report::new("failing sync");
    rounds("failing sync", "fdatasync:error=EIO", &report).unwrap();
    report.finish();
}

fn rounds(name: &str, fault: &str, report: &Report) -> Result<()> {
    let mut random = Random::of(name);
    let directory = tempfile::tempdir()?;
    let data_dir = directory.path().join("data");
    let mut known = Vec::new();
    for round in 0..ROUNDS {
        report.count(|tally| tally.failing_disks += 1);
        // strace counts the calls of each thread by itself.
        let nth = random.between(1, 25);
        let strace = Strace {
            output: directory.path().join("trace"),
            inject: Some(format!("{fault}:when={nth}+")),
        };
        let what = format!("round {round}, {fault} from call {nth} on");
        let (journal, outcome) = write_until_it_fails(&data_dir, &strace, &mut random)?;
        check_end(outcome.as_ref(), &what, report);
        ensure!(
            strace.read()?.contains("(INJECTED)"),
            "{what}: the fault never came"
        );
        // Without the fault everything that was acknowledged is there, and writing goes on.
        let state = Tree::read(directory.path())?;
        let more = match Server::start(&data_dir, None)? {
            Ok(server) => {
                let load = Load::start(&server.url, CLIENTS, &mut random);
                load.wait_for(20)?;
                server.stop()?;
                load.finish()
            }
            Err(outcome) => {
                report.find_failure(Fault::WouldNotOpen, &what, &outcome, Some(&state));
                return Ok(());
            }
        };
        let Some(export) = examine(&data_dir, &what, Some(&state), report)? else {
            return Ok(());
        };
        check_journal(&export, &journal, &what, Some(&state), report)?;
        check_journal(&export, &more, &what, Some(&state), report)?;
        if !export.text.starts_with(&known) {
            report.find(
                Fault::Loss,
                &format!("{what}: the past changed"),
                Some(&state),
            );
        }
        known = export.text;
    }
    Ok(())
}

fn write_until_it_fails(
    data_dir: &Path,
    strace: &Strace,
    random: &mut Random,
) -> Result<(Journal, Option<Outcome>)> {
    let mut server = match Server::start(data_dir, Some(strace))? {
        Ok(server) => server,
        // It met the fault before it listened.
        Err(outcome) => return Ok((Journal::default(), Some(outcome))),
    };
    let load = Load::start(&server.url, CLIENTS, random);
    let outlived = load.wait_for(ANSWERS_MAX)?;
    if outlived && !server.has_ended()? {
        server.kill()?;
        return Ok((load.finish(), None));
    }
    let mut journal = load.finish();
    // A failure may be answered with a 5xx before the process ends; only a 4xx would surprise.
    journal
        .surprises
        .retain(|surprise| surprise.starts_with('4'));
    Ok((journal, Some(server.outcome()?)))
}

fn check_end(outcome: Option<&Outcome>, what: &str, report: &Report) {
    match outcome {
        None => report.find(Fault::Wrong, &format!("{what}: it kept answering"), None),
        Some(outcome) if outcome.panicked() => {
            report.find_failure(Fault::Panic, what, outcome, None);
        }
        Some(outcome) if outcome.succeeded() => {
            report.find_failure(Fault::Wrong, &format!("{what}: exit 0"), outcome, None);
        }
        Some(outcome) if outcome.stderr.trim().len() < 20 => {
            report.find_failure(Fault::Wrong, &format!("{what}: no message"), outcome, None);
        }
        Some(_) => {}
    }
}
