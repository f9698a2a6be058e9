//! Flipped bits, cut tails and zeroed sectors in every file: refused with a word, or harmless.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::budget::Budget;
use crate::load::Load;
use crate::oracle::{Export, check_journal, examine};
use crate::process::{Outcome, Server, offline};
use crate::random::Random;
use crate::report::{Fault, Report};
use crate::tree::{Entry, Tree};

const SECTOR_BYTES: usize = 512;
const WRITES: usize = 60;

#[test]
fn damaged_files_are_refused_or_harmless() {
    let report = Report::new("flips");
    let mut random = Random::of("damaged stores");
    let stores = [
        Store::prepare(End::Stopped, &mut random, &report).unwrap(),
        Store::prepare(End::Killed, &mut random, &report).unwrap(),
    ];
    Budget::from_env("MUSTER_CRASH_FLIPS", 200)
        .spend("flips", |budget, random| {
            if budget.take() {
                report.count(|tally| tally.flips += 1);
                random.pick(&stores).damage(random, &report)?;
            }
            Ok(())
        })
        .unwrap();
    report.finish();
}

#[derive(Clone, Copy, Debug)]
enum End {
    Stopped,
    Killed,
}

/// A sound store, and what it says of itself.
struct Store {
    end: End,
    tree: Tree,
    export: Vec<u8>,
    digest: Vec<u8>,
}

impl Store {
    fn prepare(end: End, random: &mut Random, report: &Report) -> Result<Self> {
        let directory = scratch()?;
        let data_dir = directory.path().join("data");
        let Ok(server) = Server::start(&data_dir, None)? else {
            bail!("the server ended")
        };
        let load = Load::start(&server.url, 2, random);
        load.wait_for(WRITES)?;
        let journal = match end {
            End::Stopped => {
                server.stop()?;
                load.finish()
            }
            End::Killed => {
                // The last write comes from the clients' end, so that no group is half written and
                // the newest records are already covered by the remembered head.
                let journal = load.finish();
                server.kill()?;
                journal
            }
        };
        let tree = Tree::read(&data_dir)?;
        let what = format!("a store before damage, {end:?}");
        let export = examine(&data_dir, &what, None, report)?.context("a sound store opens")?;
        check_journal(&export, &journal, &what, None, report)?;
        let digest = offline(&data_dir, &["digest"])?.stdout;
        let Export { text, .. } = export;
        Ok(Self {
            end,
            tree,
            export: text,
            digest,
        })
    }

    fn damage(&self, random: &mut Random, report: &Report) -> Result<()> {
        let (path, kind, content) = loop {
            let path = self.choose_file(random);
            let content = self.tree.file(&path).expect("chosen from the tree");
            if let Some((kind, damaged)) = damaged(content, random) {
                break (path, kind, damaged);
            }
        };
        let mut tree = self.tree.clone();
        tree.entries.insert(path.clone(), Entry::File(content));
        let what = format!("{:?} store, {}: {kind}", self.end, path.display());
        let directory = scratch()?;
        tree.write(directory.path())?;
        let command = *random.pick(&[
            &["export"][..],
            &["log", "verify"],
            &["digest"],
            &["replay"],
        ]);
        if !self.first_opens(command, directory.path(), &what, &tree, report)? {
            return Ok(());
        }
        // Somebody may have opened it only because nothing is known to be wrong yet: whoever reads
        // everything must agree.
        let verified = offline(directory.path(), &["log", "verify"])?;
        if verified.panicked() || !verified.succeeded() && !said_of_derived(&verified) {
            let what = format!("{what}: verify after {command:?} was content");
            report.find_failure(Fault::SilentDamage, &what, &verified, Some(&tree));
        }
        // Whatever the first command made of the directory, all that was there is still told.
        let exported = offline(directory.path(), &["export"])?;
        if !exported.succeeded() || exported.panicked() {
            let what = format!("{what}: export after {command:?} was content");
            report.find_failure(Fault::SilentDamage, &what, &exported, Some(&tree));
        } else if exported.stdout != self.export {
            report.find(
                Fault::SilentDamage,
                &format!("{what}: another export"),
                Some(&tree),
            );
        }
        let digest = offline(directory.path(), &["digest"])?;
        if digest.stdout != self.digest || digest.panicked() {
            let what = format!("{what}: another digest");
            report.find_failure(Fault::SilentDamage, &what, &digest, Some(&tree));
        }
        Ok(())
    }

    /// Whether the damaged store was opened. A refusal must explain itself and leave the log alone.
    fn first_opens(
        &self,
        command: &[&str],
        data_dir: &Path,
        what: &str,
        damaged: &Tree,
        report: &Report,
    ) -> Result<bool> {
        let outcome = offline(data_dir, command)?;
        if outcome.panicked() {
            report.find_failure(
                Fault::Panic,
                &format!("{what}: {command:?}"),
                &outcome,
                Some(damaged),
            );
            return Ok(false);
        }
        if outcome.succeeded() {
            let expected = match command {
                ["export"] => Some(&self.export),
                ["digest"] => Some(&self.digest),
                _ => None,
            };
            if expected.is_some_and(|expected| *expected != outcome.stdout) {
                let message = format!("{what}: {command:?} tells another story");
                report.find(Fault::SilentDamage, &message, Some(damaged));
                return Ok(false);
            }
            return Ok(true);
        }
        report.count(|tally| tally.refused += 1);
        if outcome.stderr.trim().len() < 20 {
            let message = format!(
                "{what}: {command:?} refuses without a word: {}",
                outcome.summary()
            );
            report.find(Fault::Wrong, &message, Some(damaged));
        }
        // Where the records are good the log was opened as a good one is, which may tidy it up.
        let may_change = said_of_derived(&outcome);
        let after = Tree::read(data_dir)?;
        for name in ["log/db", "log/conf"] {
            let name = Path::new(name);
            if !may_change && after.file(name) != damaged.file(name) {
                let message = format!(
                    "{what}: {command:?} refused and changed {}: {}",
                    name.display(),
                    outcome.summary()
                );
                report.find(Fault::Wrong, &message, Some(damaged));
            }
        }
        Ok(false)
    }

    /// Half of the damage goes to the log itself, the rest to the other files alike.
    fn choose_file(&self, random: &mut Random) -> PathBuf {
        let db = PathBuf::from("log/db");
        if random.percent(50) {
            return db;
        }
        let files: Vec<&Path> = self
            .tree
            .files()
            .filter(|(_, content)| !content.is_empty())
            .map(|(path, _)| path)
            .collect();
        random.pick(&files).to_path_buf()
    }
}

/// What is no part of the records may be damaged while they are good: tiles and keys.
fn said_of_derived(verified: &Outcome) -> bool {
    ["tile", "log-key"]
        .iter()
        .any(|word| verified.stderr.contains(word))
}

/// In memory where that is possible: thousands of copies of a store are made, and damage does not
/// ask what was synced.
fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() {
        tempfile::tempdir_in(memory)?
    } else {
        tempfile::tempdir()?
    })
}

/// The content with one fault, unless the fault found nothing to change.
fn damaged(content: &[u8], random: &mut Random) -> Option<(String, Vec<u8>)> {
    let mut damaged = content.to_vec();
    let kind = match random.below(10) {
        0..6 => {
            let at = used_byte(content, random)?;
            let bit = random.below(8);
            damaged[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        6..8 => {
            let length = if random.percent(50) {
                used_byte(content, random)?
            } else {
                random.below(content.len())
            };
            damaged.truncate(length);
            format!("{} bytes truncated to {length}", content.len())
        }
        _ => {
            let sector = used_byte(content, random)? / SECTOR_BYTES * SECTOR_BYTES;
            let end = (sector + SECTOR_BYTES).min(content.len());
            damaged[sector..end].fill(0);
            format!("bytes {sector} to {end} zeroed")
        }
    };
    (damaged != content).then_some((kind, damaged))
}

/// Mostly within sectors that hold something, since most of the log's file does not.
fn used_byte(content: &[u8], random: &mut Random) -> Option<usize> {
    if content.is_empty() {
        return None;
    }
    if random.percent(10) {
        return Some(random.below(content.len()));
    }
    let used: Vec<usize> = content
        .chunks(SECTOR_BYTES)
        .enumerate()
        .filter(|(_, sector)| sector.iter().any(|byte| *byte != 0))
        .map(|(number, _)| number)
        .collect();
    if used.is_empty() {
        return Some(random.below(content.len()));
    }
    let start = random.pick(&used) * SECTOR_BYTES;
    Some(start + random.below(SECTOR_BYTES.min(content.len() - start)))
}
