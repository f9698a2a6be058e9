use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use event_log::{Frontier, Hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use types::{Position, hex};

use crate::BackupError;
use crate::set::replace;

/// What a backup holds. The file is one line of JSON, and below it the SHA-256 of that line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub(crate) format: u32,
    /// Everything up to here is in it.
    pub position: u64,
    /// Of the tree over all records, in hexadecimal.
    pub root: String,
    /// The right edge of the tree, from the left: what is needed to go on.
    pub(crate) edge: Vec<String>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) files: Vec<KeptFile>,
}

/// Records that were taken in together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) sha256: String,
}

/// A file besides the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptFile {
    /// As it is called in a data directory.
    pub(crate) name: String,
    /// As it is called in the backup.
    pub(crate) kept_as: String,
    pub(crate) sha256: String,
}

const FORMAT: u32 = 1;
pub(crate) const NAME: &str = "manifest";

impl Manifest {
    /// `None` if there is none.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, BackupError> {
        let path = directory.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(BackupError::altered(&path, "it is not text"));
            }
            Err(error) => return Err(BackupError::io(&path)(error)),
        };
        let altered = |what| BackupError::altered(&path, what);
        let (line, sum) = text
            .split_once('\n')
            .ok_or_else(|| altered("it is cut off"))?;
        if sum.trim_end() != sha256(line.as_bytes()) {
            return Err(altered("it does not match its checksum"));
        }
        let manifest: Self = serde_json::from_str(line)
            .map_err(|_| altered("it is of another version, or not a manifest"))?;
        if manifest.format != FORMAT || manifest.frontier().is_none() {
            return Err(altered("it is of another version, or not a manifest"));
        }
        Ok(Some(manifest))
    }

    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let line = serde_json::to_string(self)?;
        let sum = sha256(line.as_bytes());
        replace(&directory.join(NAME), format!("{line}\n{sum}\n").as_bytes())
    }

    pub(crate) fn empty() -> Self {
        let mut manifest = Self {
            format: FORMAT,
            ..Self::default()
        };
        manifest.note(&Frontier::default());
        manifest
    }

    pub(crate) fn note(&mut self, frontier: &Frontier) {
        self.position = frontier.size();
        self.root = frontier.root().to_string();
        self.edge = frontier.roots().iter().map(Hash::to_string).collect();
    }

    /// The tree as far as the backup goes; `None` if what is noted of it cannot be so.
    pub(crate) fn frontier(&self) -> Option<Frontier> {
        let roots: Option<Vec<Hash>> = self.edge.iter().map(|it| hash(it)).collect();
        let frontier = Frontier::from_parts(self.position, roots?)?;
        (frontier.root().to_string() == self.root).then_some(frontier)
    }

    /// Everything up to here is in it.
    pub fn head(&self) -> Position {
        Position(self.position)
    }
}

fn hash(text: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(Hash(bytes))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
