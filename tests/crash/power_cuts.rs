//! Power cuts: of what a recorded process wrote, only what it synced is sure to survive.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::budget::Budget;
use crate::crash_state::{after_power_cut, complete};
use crate::load::{Connection, Journal, Load};
use crate::oracle::{Export, check_journal, examine};
use crate::process::{Outcome, Server, Strace, import_under_strace, offline, say};
use crate::random::{Random, seed};
use crate::recording::Recording;
use crate::report::{Fault, Report};
use crate::trace::{Moment, Trace};
use crate::tree::Tree;

const CLIENTS: usize = 4;
const CUTS_PER_RECORDING: usize = 8;
const CUTS_PER_IMPORT: usize = 4;
/// Recordings that each start from a state that a cut of the one before left.
const CHAIN_RECORDINGS: usize = 4;

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    let report = Report::new("cuts");
    Budget::from_env("MUSTER_CRASH_CUTS", 30)
        .spend("cuts", |budget, random| {
            chain(budget, random, None, &report)
        })
        .unwrap();
    report.finish();
}

/// The harness proven: a store that only claims to sync loses writes, and it is seen to.
#[test]
fn without_the_sync_power_cuts_lose_what_was_acknowledged() {
    let report = Report::without_evidence("cuts-without-sync");
    let mut random = Random::of("cuts without sync");
    let skip = Some("fdatasync:retval=0");
    // A cut shows the loss only where something was promised that no other sync covered.
    for _ in 0..15 {
        chain(&Budget::of(CUTS_PER_RECORDING), &mut random, skip, &report).unwrap();
        if report.tally().losses > 0 {
            break;
        }
    }
    let tally = report.tally();
    say(&format!(
        "crash: without fdatasync, where faults are due: {tally}"
    ));
    // The remembered head turns most losses into refusals, and either shows what is missing.
    assert!(
        tally.losses + tally.would_not_open > 0,
        "no loss was found; MUSTER_CRASH_SEED={}",
        seed()
    );
}

/// One directory through several recordings, each begun where a cut of the last one ended.
fn chain(
    budget: &Budget,
    random: &mut Random,
    inject: Option<&str>,
    report: &Report,
) -> Result<()> {
    let mut start = Tree::default();
    for number in 0..CHAIN_RECORDINGS {
        if budget.is_spent() {
            return Ok(());
        }
        let Some(run) = Run::record(&start, random, inject, report)? else {
            return Ok(());
        };
        let mut recovered = Vec::new();
        for _ in 0..CUTS_PER_RECORDING {
            if !budget.take() {
                return Ok(());
            }
            report.count(|tally| tally.cuts += 1);
            recovered.extend(run.cut(number, random, report)?);
        }
        if number == 0 {
            cut_import(&run.export, budget, random, report)?;
        }
        if recovered.is_empty() {
            return Ok(());
        }
        start = recovered.swap_remove(random.below(recovered.len()));
    }
    Ok(())
}

/// One recorded life of a server, from start to graceful stop, and the log that it left.
struct Run {
    recording: Recording,
    export: Export,
}

impl Run {
    fn record(
        start: &Tree,
        random: &mut Random,
        inject: Option<&str>,
        report: &Report,
    ) -> Result<Option<Self>> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().canonicalize()?.join("root");
        std::fs::create_dir(&root)?;
        start.write(&root)?;
        let data_dir = root.join("data");
        let strace = Strace {
            output: directory.path().join("trace"),
            inject: inject.map(str::to_owned),
        };
        let server = match Server::start(&data_dir, Some(&strace))? {
            Ok(server) => server,
            Err(outcome) => {
                let what = "the start of a recording";
                report.find_failure(Fault::WouldNotOpen, what, &outcome, Some(start));
                return Ok(None);
            }
        };
        let load = Load::start(&server.url, CLIENTS, random);
        let went_on = load.wait_for(random.between(20, 120))?;
        // The stop comes while clients still write, as it does in life.
        let stopped = server.stop()?;
        let journal = load.finish();
        if !went_on || !stopped.succeeded() || stopped.panicked() {
            report.find_failure(Fault::Wrong, "a graceful stop", &stopped, None);
        }
        let recording = recorded(&strace, &root, start)?;
        let copy = directory.path().join("copy");
        std::fs::create_dir(&copy)?;
        Tree::read(&root)?.write(&copy)?;
        let what = "a store that was stopped";
        let Some(export) = examine(&copy.join("data"), what, None, report)? else {
            return Ok(None);
        };
        check_journal(&export, &journal, what, None, report)?;
        ensure!(
            recording
                .answers
                .iter()
                .filter(|answer| answer.success)
                .count()
                >= journal.acknowledged.len(),
            "the trace lacks answers that clients were given"
        );
        Ok(Some(Self { recording, export }))
    }

    /// Cuts the power once; what recovery then makes of it may start another recording.
    fn cut(&self, chained: usize, random: &mut Random, report: &Report) -> Result<Option<Tree>> {
        let (phase, cut) = self.choose_cut(random)?;
        let state = after_power_cut(&self.recording, cut, random);
        let (position, successes) = self.recording.answered_by(cut);
        let promised = usize::try_from(position)?;
        report.count(|tally| tally.acknowledged += successes);
        let what = format!(
            "cut at {cut} of {} ({phase:?}), chain {chained}, {promised} events promised",
            self.recording.end
        );
        let directory = tempfile::tempdir()?;
        state.write(directory.path())?;
        let data_dir = directory.path().join("data");
        let server_first = promised == 0 || random.percent(40);
        let mut server_head = None;
        let mut journal = Journal::default();
        if server_first {
            let Some((head, written)) = serve(&data_dir, &what, &state, random, report)? else {
                return Ok(None);
            };
            server_head = Some(head);
            journal = written;
        }
        let Some(export) = examine(&data_dir, &what, Some(&state), report)? else {
            return Ok(None);
        };
        let mut recovered = server_head.unwrap_or(export.head());
        // A server that has recovered may have written that time has passed before it was asked.
        while server_first
            && recovered > promised
            && recovered <= export.head()
            && export.is_clock(recovered)
            && (recovered > self.export.head()
                || export.first(recovered) != self.export.first(recovered))
        {
            recovered -= 1;
        }
        if recovered < promised {
            let message = format!("{what}: {recovered} events recovered");
            report.find(Fault::Loss, &message, Some(&state));
        } else if recovered > self.export.head()
            || recovered > export.head()
            || export.first(recovered) != self.export.first(recovered)
        {
            let message = format!("{what}: the {recovered} recovered events are not those written");
            report.find(Fault::SilentDamage, &message, Some(&state));
        } else if self.export.is_torn_after(recovered) {
            let message = format!("{what}: the log ends within a command, after {recovered}");
            report.find(Fault::TornGroup, &message, Some(&state));
        }
        if server_first {
            check_journal(&export, &journal, &what, Some(&state), report)?;
        } else {
            let Some((_, written)) = serve(&data_dir, &what, &state, random, report)? else {
                return Ok(None);
            };
            let Some(later) = examine(&data_dir, &what, Some(&state), report)? else {
                return Ok(None);
            };
            if !later.text.starts_with(&export.text) {
                report.find(
                    Fault::Loss,
                    &format!("{what}: the past changed"),
                    Some(&state),
                );
            }
            check_journal(&later, &written, &what, Some(&state), report)?;
        }
        Ok(Some(Tree::read(directory.path())?))
    }

    /// A moment within a phase, often next to an answer or to a write of the head file, where
    /// the order of things matters most.
    fn choose_cut(&self, random: &mut Random) -> Result<(Phase, Moment)> {
        let recording = &self.recording;
        let first_answer = recording
            .answers
            .first()
            .map_or(recording.end, |answer| answer.moment);
        let signal = recording
            .stop_signal
            .context("the recording ends with a graceful stop")?;
        let phase = match random.below(100) {
            0..15 => Phase::Creation,
            15..65 => Phase::Load,
            65..80 => Phase::Stop,
            _ => Phase::HeadFile,
        };
        let heads = recording.nodes_named("head");
        let moments: Vec<Moment> = recording
            .operations
            .iter()
            .filter(|operation| match phase {
                Phase::Creation => operation.entered < first_answer,
                Phase::Load => operation.entered >= first_answer && operation.entered < signal,
                Phase::Stop => operation.left.is_none_or(|left| left >= signal),
                Phase::HeadFile => heads.contains(&operation.deed.node()),
            })
            .flat_map(|operation| [Some(operation.entered), operation.left])
            .flatten()
            .collect();
        let answers: Vec<Moment> = recording
            .answers
            .iter()
            .map(|answer| answer.moment)
            .collect();
        if phase == Phase::Load && !answers.is_empty() && random.percent(50) {
            return Ok((phase, *random.pick(&answers)));
        }
        if moments.is_empty() {
            return Ok((phase, random.below(recording.end + 1)));
        }
        Ok((phase, *random.pick(&moments)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Creation,
    Load,
    Stop,
    HeadFile,
}

/// Starts a server on a recovered directory, writes a little more, stops it. Gives the head that
/// it started with and what was written.
fn serve(
    data_dir: &Path,
    what: &str,
    state: &Tree,
    random: &mut Random,
    report: &Report,
) -> Result<Option<(usize, Journal)>> {
    let server = match Server::start(data_dir, None)? {
        Ok(server) => server,
        Err(outcome) => {
            report.find_failure(
                Fault::WouldNotOpen,
                &format!("{what}: serve"),
                &outcome,
                Some(state),
            );
            return Ok(None);
        }
    };
    let head = usize::try_from(Connection::new(&server.url).get("/readyz")?.position)?;
    let load = Load::start(&server.url, 2, random);
    load.wait_for(random.between(1, 12))?;
    let stopped = server.stop()?;
    if !stopped.succeeded() || stopped.panicked() {
        report.find_failure(
            Fault::Wrong,
            &format!("{what}: stop"),
            &stopped,
            Some(state),
        );
    }
    Ok(Some((head, load.finish())))
}

/// Cuts of an import: once it has ended everything is there; before, a beginning or a refusal.
fn cut_import(
    export: &Export,
    budget: &Budget,
    random: &mut Random,
    report: &Report,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().canonicalize()?.join("root");
    std::fs::create_dir(&root)?;
    let file = directory.path().join("export.jsonl");
    std::fs::write(&file, &export.text)?;
    let strace = Strace::recording(directory.path().join("trace"));
    let imported = import_under_strace(&root.join("data"), &file, &strace)?;
    if !imported.succeeded() || imported.panicked() {
        report.find_failure(Fault::Wrong, "an import", &imported, None);
        return Ok(());
    }
    let recording = recorded(&strace, &root, &Tree::default())?;
    for _ in 0..CUTS_PER_IMPORT {
        if !budget.take() {
            return Ok(());
        }
        report.count(|tally| tally.cuts += 1);
        let operation = random.pick(&recording.operations);
        let cut = if random.percent(20) {
            recording.end
        } else {
            *random.pick(&[operation.entered, operation.left.unwrap_or(recording.end)])
        };
        let state = after_power_cut(&recording, cut, random);
        check_imported(&state, cut, cut == recording.end, export, report)?;
    }
    Ok(())
}

fn check_imported(
    state: &Tree,
    cut: Moment,
    is_over: bool,
    export: &Export,
    report: &Report,
) -> Result<()> {
    let what = format!("import cut at {cut}, over: {is_over}");
    let directory = tempfile::tempdir()?;
    state.write(directory.path())?;
    let data_dir = directory.path().join("data");
    let opened: Outcome = offline(&data_dir, &["export"])?;
    if opened.panicked() {
        report.find_failure(Fault::Panic, &what, &opened, Some(state));
        return Ok(());
    }
    if !opened.succeeded() {
        // Nothing was promised before the import was over, but silence is no refusal.
        if is_over || opened.stderr.trim().is_empty() {
            report.find_failure(Fault::WouldNotOpen, &what, &opened, Some(state));
        }
        return Ok(());
    }
    let Some(recovered) = examine(&data_dir, &what, Some(state), report)? else {
        return Ok(());
    };
    if is_over && recovered.head() < export.head() {
        let message = format!("{what}: {} of {} events", recovered.head(), export.head());
        report.find(Fault::Loss, &message, Some(state));
    }
    if !export.text.starts_with(&recovered.text) {
        report.find(
            Fault::SilentDamage,
            &format!("{what}: not a beginning"),
            Some(state),
        );
    }
    Ok(())
}

/// The recording, proven: everything it holds gives exactly what the process left behind.
fn recorded(strace: &Strace, root: &Path, before: &Tree) -> Result<Recording> {
    let trace = Trace::parse(&strace.read()?)?;
    let recording = Recording::from_trace(&trace, root, before)?;
    let difference = complete(&recording).difference(&Tree::read(root)?);
    ensure!(
        difference.is_empty(),
        "the recording misses something: {difference:?}"
    );
    Ok(recording)
}
