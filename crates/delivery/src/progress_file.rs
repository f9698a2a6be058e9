//! Where a webhook has got to, in a file of its own that is whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use projections::StepPlace;
use serde::{Deserialize, Serialize};
use types::Position;

use crate::pending::What;

/// The only format so far.
const FORMAT: u32 = 1;

/// Everything up to `position` and `part` was told or given up, but for what is pending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    format: u32,
    position: Position,
    part: u64,
    pub(crate) pending: Vec<Unfinished>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    pub(crate) position: Position,
    pub(crate) part: u64,
    pub(crate) what: What,
    /// How often it has failed.
    pub(crate) failed: u32,
}

impl Progress {
    pub(crate) fn new(through: StepPlace, pending: Vec<Unfinished>) -> Self {
        Self {
            format: FORMAT,
            position: through.position,
            part: through.part,
            pending,
        }
    }

    pub(crate) fn through(&self) -> StepPlace {
        StepPlace {
            position: self.position,
            part: self.part,
        }
    }

    /// What was written last; nothing if nothing was. A file that cannot be read as one is an error:
    /// beginning again would tell everything once more.
    pub(crate) fn read(directory: &Path, id: &str) -> io::Result<Option<Self>> {
        let path = path(directory, id);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let wrong = |what: String| {
            let what = format!("{}: {what}", path.display());
            io::Error::new(ErrorKind::InvalidData, what)
        };
        let progress: Self =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if progress.format != FORMAT {
            return Err(wrong("a format that this version does not know".to_owned()));
        }
        Ok(Some(progress))
    }

    /// Replaces what was written before, and returns when that is durable.
    pub(crate) fn write(&self, directory: &Path, id: &str) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        replace(&path(directory, id), &text)
    }
}

/// Makes the directory, so that it is there after a power cut as well.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    if !directory.exists() {
        fs::create_dir_all(directory)?;
        if let Some(parent) = directory.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// Removes what is kept of a webhook.
pub(crate) fn remove(directory: &Path, id: &str) -> io::Result<()> {
    for path in [path(directory, id), dead_path(directory, id)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The webhooks of which anything is kept.
pub(crate) fn kept(directory: &Path) -> io::Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if let Some((id, ENDING | DEAD_ENDING)) = name.split_once('.') {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

const ENDING: &str = "progress";
const DEAD_ENDING: &str = "dead";

fn path(directory: &Path, id: &str) -> PathBuf {
    directory.join(format!("{id}.{ENDING}"))
}

pub(crate) fn dead_path(directory: &Path, id: &str) -> PathBuf {
    directory.join(format!("{id}.{DEAD_ENDING}"))
}

/// Whole or not at all, and readable by nobody else.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        assert_eq!(Progress::read(directory, "a").expect("nothing"), None);
        let pending = Unfinished {
            position: Position(3),
            part: 1,
            what: What::Membership {
                audience: types::AudienceId::parse("trial").expect("an id"),
                subject: 7,
                joined: true,
                version: 2,
            },
            failed: 4,
        };
        let progress = Progress::new(StepPlace::after(Position(9)), vec![pending]);
        progress.write(directory, "a").expect("written");
        let read = Progress::read(directory, "a").expect("read");
        assert_eq!(read, Some(progress));
        assert_eq!(kept(directory).expect("a list"), ["a"]);
        for wrong in [
            "",
            "{}",
            r#"{"format":2,"position":1,"part":0,"pending":[]}"#,
        ] {
            fs::write(path(directory, "a"), wrong).expect("written");
            assert!(Progress::read(directory, "a").is_err(), "{wrong}");
        }
        remove(directory, "a").expect("removed");
        remove(directory, "a").expect("gone already");
        assert!(kept(directory).expect("a list").is_empty());
    }
}
