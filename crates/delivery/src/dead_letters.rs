//! What was given up, in a file to which lines are added.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use projections::StepPlace;

use crate::progress_file::{dead_path, replace};
use crate::status::DeadLetter;

/// Those that are remembered of one webhook; the oldest are forgotten.
pub(crate) const DEAD_LETTERS_MAX: usize = 10_000;

/// In the order of the log.
pub(crate) type Letters = BTreeMap<StepPlace, DeadLetter>;

pub(crate) struct DeadLetters {
    path: PathBuf,
    lines: usize,
}

impl DeadLetters {
    /// Reads what was written, each once; a line that a crash cut is as if it were not there, for what it
    /// says is still pending.
    pub(crate) fn open(directory: &Path, id: &str) -> io::Result<(Self, Letters)> {
        let path = dead_path(directory, id);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let read = text
            .lines()
            .filter_map(|line| serde_json::from_str::<DeadLetter>(line).ok());
        let mut letters: Letters = read.map(|letter| (letter.place(), letter)).collect();
        while letters.len() > DEAD_LETTERS_MAX {
            letters.pop_first();
        }
        let lines = text.lines().count();
        let mut dead = Self { path, lines };
        if !text.is_empty() && (!text.ends_with('\n') || lines != letters.len()) {
            dead.rewrite(&letters)?;
        }
        Ok((dead, letters))
    }

    /// Adds these, and returns when they are durable.
    pub(crate) fn add(&mut self, new: &[DeadLetter], all: &Letters) -> io::Result<()> {
        if self.lines + new.len() > 2 * DEAD_LETTERS_MAX {
            return self.rewrite(all);
        }
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let mut text = Vec::new();
        for letter in new {
            serde_json::to_writer(&mut text, letter)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_all()?;
        if is_new && let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.lines += new.len();
        Ok(())
    }

    /// Leaves only those up to the place.
    pub(crate) fn keep_through(&mut self, place: StepPlace, all: &mut Letters) -> io::Result<()> {
        let before = all.len();
        all.retain(|it, _| *it <= place);
        if all.len() == before {
            return Ok(());
        }
        self.rewrite(all)
    }

    fn rewrite(&mut self, all: &Letters) -> io::Result<()> {
        let mut text = Vec::new();
        for letter in all.values() {
            serde_json::to_writer(&mut text, letter)?;
            text.push(b'\n');
        }
        replace(&self.path, &text)?;
        self.lines = all.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use types::{Position, Timestamp};

    use super::*;

    fn letter(position: u64) -> DeadLetter {
        DeadLetter {
            position: Position(position),
            part: 0,
            subject: Some(7),
            attempts: 16,
            at: Timestamp(position),
            status: Some(500),
            error: "status".to_owned(),
        }
    }

    fn insert(letters: &mut Letters, position: u64) {
        letters.insert(letter(position).place(), letter(position));
    }

    fn positions(letters: &Letters) -> Vec<u64> {
        letters.keys().map(|place| place.position.0).collect()
    }

    #[test]
    fn what_was_given_up_is_remembered_once_whatever_a_crash_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || DeadLetters::open(directory.path(), "a").expect("opened");
        let (mut dead, mut all) = open();
        assert!(all.is_empty());
        for position in 1..=3 {
            insert(&mut all, position);
            dead.add(&[letter(position)], &all).expect("added");
        }
        // Written, and then again, because the progress beside it was not.
        dead.add(&[letter(3)], &all).expect("added");
        let mut file = OpenOptions::new()
            .append(true)
            .open(dead_path(directory.path(), "a"))
            .expect("a file");
        file.write_all(b"{\"position\":4,").expect("half a line");
        let (mut dead, mut all) = open();
        assert_eq!(positions(&all), [1, 2, 3]);
        dead.keep_through(StepPlace::after(Position(2)), &mut all)
            .expect("kept");
        insert(&mut all, 5);
        dead.add(&[letter(5)], &all).expect("added");
        assert_eq!(positions(&open().1), [1, 2, 5]);
    }
}
