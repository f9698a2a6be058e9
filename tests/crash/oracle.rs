//! What must be true of a store after any fault.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::load::{Connection, Journal, MARK, Shown, bulk_command};
use crate::process::{import, offline};
use crate::report::{Fault, Report};
use crate::tree::Tree;

/// `muster export`, taken apart.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) text: Vec<u8>,
    /// Where each line ends, its line break included.
    ends: Vec<usize>,
    /// The command of each event.
    commands: Vec<String>,
}

impl Export {
    /// Fails unless positions are 1, 2, 3 and so on, and every line is an event.
    pub(crate) fn parse(text: Vec<u8>) -> Result<Self> {
        let (mut ends, mut commands) = (Vec::new(), Vec::new());
        let mut end = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            end += line.len();
            ensure!(line.ends_with(b"\n"), "the last line is cut off");
            let event: Value = serde_json::from_slice(line).context("a line is not JSON")?;
            let position = event["position"]
                .as_u64()
                .context("an event has a position")?;
            ensure!(
                usize::try_from(position)? == ends.len() + 1,
                "position {position} stands where {} is due",
                ends.len() + 1
            );
            commands.push(
                event["command_id"]
                    .as_str()
                    .context("a command id")?
                    .to_owned(),
            );
            ends.push(end);
        }
        Ok(Self {
            text,
            ends,
            commands,
        })
    }

    pub(crate) fn head(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn first(&self, events: usize) -> &[u8] {
        &self.text[..events.checked_sub(1).map_or(0, |last| self.ends[last])]
    }

    /// Whether the event at this position says only that time has passed.
    pub(crate) fn is_clock(&self, position: usize) -> bool {
        let before = self.first(position.saturating_sub(1)).len();
        let line = &self.first(position)[before..];
        let name = br#""type":"clock.advanced""#;
        line.windows(name.len()).any(|part| part == name)
    }

    /// Whether a log that ends after so many events ends within a command.
    pub(crate) fn is_torn_after(&self, events: usize) -> bool {
        events > 0 && events < self.head() && self.commands[events - 1] == self.commands[events]
    }

    /// Every mark with the first position that shows it.
    fn marks(&self) -> HashMap<&str, usize> {
        let mut marks = HashMap::new();
        let mut start = 0;
        for (index, end) in self.ends.iter().enumerate() {
            // Marks hold nothing that JSON escapes, so quotes delimit them.
            let line = std::str::from_utf8(&self.text[start..*end]).unwrap_or_default();
            for token in line.split('"').filter(|token| token.starts_with(MARK)) {
                marks.entry(token).or_insert(index + 1);
            }
            start = *end;
        }
        marks
    }
}

/// Opens a store offline in every way and compares. `None` if it could not be read; what was
/// wrong is then in the report already.
pub(crate) fn examine(
    data_dir: &Path,
    what: &str,
    state: Option<&Tree>,
    report: &Report,
) -> Result<Option<Export>> {
    let exported = offline(data_dir, &["export"])?;
    if !exported.succeeded() || exported.panicked() {
        report.find_failure(
            Fault::WouldNotOpen,
            &format!("{what}: export"),
            &exported,
            state,
        );
        return Ok(None);
    }
    let export = match Export::parse(exported.stdout) {
        Ok(export) => export,
        Err(error) => {
            report.find(Fault::Wrong, &format!("{what}: export: {error:#}"), state);
            return Ok(None);
        }
    };
    let verified = offline(data_dir, &["log", "verify"])?;
    if !verified.succeeded() || verified.panicked() {
        report.find_failure(
            Fault::Wrong,
            &format!("{what}: log verify"),
            &verified,
            state,
        );
    }
    let digest = offline(data_dir, &["digest"])?;
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("export.jsonl");
    std::fs::write(&file, &export.text)?;
    let fresh = scratch.path().join("fresh");
    let imported = import(&fresh, &file)?;
    if !imported.succeeded() || imported.panicked() {
        report.find_failure(Fault::Wrong, &format!("{what}: import"), &imported, state);
        return Ok(Some(export));
    }
    let replayed = offline(&fresh, &["digest"])?;
    if !digest.succeeded() || !replayed.succeeded() || digest.stdout != replayed.stdout {
        let message = format!(
            "{what}: digest {} ({}) but of a fresh import {} ({})",
            String::from_utf8_lossy(&digest.stdout),
            digest.summary(),
            String::from_utf8_lossy(&replayed.stdout),
            replayed.summary()
        );
        report.find(Fault::Wrong, &message, state);
    }
    Ok(Some(export))
}

/// Everything that the clients were told must be in the export, and no command in part.
pub(crate) fn check_journal(
    export: &Export,
    journal: &Journal,
    what: &str,
    state: Option<&Tree>,
    report: &Report,
) -> Result<()> {
    let marks = export.marks();
    for write in &journal.acknowledged {
        report.count(|tally| tally.acknowledged += 1);
        let position = usize::try_from(write.position)?;
        let found = match &write.mark {
            Some(mark) => marks
                .get(mark.as_str())
                .is_some_and(|found| *found <= position),
            None => true,
        };
        if position > export.head() || !found {
            let message = format!("{what}: {write:?} of a log with {} events", export.head());
            report.find(Fault::Loss, &message, state);
        }
    }
    let mut bulks: HashMap<&str, (usize, usize)> = HashMap::new();
    for recipient in marks.keys() {
        if let Some((command, count)) = bulk_command(recipient) {
            bulks.entry(command).or_insert((count, 0)).1 += 1;
        }
    }
    for (command, (count, found)) in bulks {
        if count != found {
            let message = format!("{what}: {found} of {count} recipients of {command}");
            report.find(Fault::TornGroup, &message, state);
        }
    }
    for surprise in &journal.surprises {
        report.find(
            Fault::Wrong,
            &format!("{what}: an answer {surprise}"),
            state,
        );
    }
    Ok(())
}

/// What a restarted server shows must be what the clients were told last.
pub(crate) fn check_profiles(
    connection: &Connection,
    journal: &Journal,
    what: &str,
    state: Option<&Tree>,
    report: &Report,
) -> Result<()> {
    for (user, known) in &journal.users {
        let reply = connection.get(&format!("/profiles/{user}"))?;
        let shown = if reply.status == 404 {
            Shown::NoProfile
        } else {
            let body: Value = serde_json::from_str(&reply.body)?;
            Shown::Mark(
                body["profile"]["mark"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        if shown != known.acknowledged && Some(&shown) != known.attempted.as_ref() {
            let message = format!("{what}: {user} shows {shown:?}, clients know {known:?}");
            report.find(Fault::Loss, &message, state);
        }
    }
    Ok(())
}
