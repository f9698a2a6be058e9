//! ```text
//! magic        8 bytes, "MUSTERKV"
//! format       1 byte, 1
//! master key   8 bytes, the fingerprint of the one that opens the file
//! salt         32 bytes, new each time
//! sealed       AES-256-GCM-SIV under a key of master key and salt, all before as associated data:
//!   epoch        4 bytes, how often somebody was erased
//!   snapshots    32 bytes, the key of snapshots
//!   nodes        each: first leaf 8 bytes, depth 1 byte, secret 32 bytes
//! ```
//! Numbers are big-endian.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aes_gcm_siv::Nonce;

use crate::cipher::{open_with, seal_with};
use crate::key_tree::{KeyTree, Secret};
use crate::master_key::{MasterKey, random};

const MAGIC: &[u8; 8] = b"MUSTERKV";
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 8 + 1 + 8 + 32;
const NODE_BYTES: usize = 8 + 1 + 32;

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error(
        "the key vault {0} is missing: without it nothing that the log says of people can be read"
    )]
    Missing(PathBuf),
    #[error("the key vault {0} was sealed with another master key than the one given")]
    OtherMasterKey(PathBuf),
    #[error("the key vault {0} is damaged, or is no key vault")]
    Damaged(PathBuf),
    #[error("the key vault {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// All that the vault keeps.
pub(crate) struct Contents {
    pub(crate) epoch: u32,
    pub(crate) snapshot_key: Secret,
    pub(crate) tree: KeyTree,
}

/// The vault's file as it was written last.
pub(crate) struct VaultFile {
    pub(crate) path: PathBuf,
    pub(crate) master_key: MasterKey,
}

impl VaultFile {
    /// `None` if there is no file.
    pub(crate) fn read(&self) -> Result<Option<Contents>, VaultError> {
        let path = || self.path.clone();
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let path = path();
                return Err(VaultError::Io { path, error });
            }
        };
        let damaged = || VaultError::Damaged(path());
        let (header, sealed) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
        if &header[..8] != MAGIC || header[8] != FORMAT {
            return Err(damaged());
        }
        if header[9..17] != self.master_key.fingerprint() {
            return Err(VaultError::OtherMasterKey(path()));
        }
        let key = self.master_key.derive(&header[17..]);
        let body = open_with(&key, Nonce::default(), header, sealed).map_err(|_| damaged())?;
        Contents::from_bytes(&body).ok_or_else(damaged).map(Some)
    }

    /// Puts the contents in the place of what was there, whole or not at all, and wipes that.
    pub(crate) fn write(&self, contents: &Contents) -> Result<(), VaultError> {
        self.replace(contents).map_err(|error| VaultError::Io {
            path: self.path.clone(),
            error,
        })
    }

    fn replace(&self, contents: &Contents) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(1_024);
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.master_key.fingerprint());
        let salt: [u8; 32] = random();
        bytes.extend_from_slice(&salt);
        let key = self.master_key.derive(&salt);
        // The key is used for this one file only, so the nonce need not differ.
        let sealed = seal_with(&key, Nonce::default(), &bytes, &contents.to_bytes());
        bytes.extend_from_slice(&sealed);

        let directory = self.path.parent().unwrap_or(Path::new("."));
        let new = self.path.with_extension("new");
        if new.exists() {
            wipe(OpenOptions::new().write(true).open(&new)?)?;
            fs::remove_file(&new)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        self.wipe_leftovers()?;
        // The old file keeps a name until it is wiped, so that a crash in between leaves it to be found.
        match fs::hard_link(&self.path, self.old()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(&new, &self.path)?;
        File::open(directory)?.sync_all()?;
        self.wipe_leftovers()?;
        File::open(directory)?.sync_all()
    }

    fn old(&self) -> PathBuf {
        self.path.with_extension("old")
    }

    /// Finishes what a crash cut short when the file was replaced.
    pub(crate) fn clear_leftovers(&self) -> Result<(), VaultError> {
        self.wipe_leftovers().map_err(|error| VaultError::Io {
            path: self.old(),
            error,
        })
    }

    /// Wipes and removes a file that was replaced.
    fn wipe_leftovers(&self) -> io::Result<()> {
        match OpenOptions::new().write(true).open(self.old()) {
            Ok(old) => {
                wipe(old)?;
                fs::remove_file(self.old())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Overwrites what has lost its name, where the file system writes in place. The master key opened it,
/// and may outlive it.
fn wipe(mut old: File) -> io::Result<()> {
    let length = old.metadata()?.len();
    let zeros = [0; 4_096];
    let mut left = length;
    while left > 0 {
        let now = left.min(zeros.len() as u64);
        let piece = usize::try_from(now).unwrap_or(zeros.len());
        old.write_all(&zeros[..piece])?;
        left -= now;
    }
    old.sync_all()
}

impl Contents {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.snapshot_key);
        for (first, depth, secret) in self.tree.nodes() {
            bytes.extend_from_slice(&first.to_be_bytes());
            bytes.push(depth);
            bytes.extend_from_slice(secret);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, bytes) = bytes.split_first_chunk::<4>()?;
        let (snapshot_key, bytes) = bytes.split_first_chunk::<32>()?;
        let nodes = bytes.chunks_exact(NODE_BYTES);
        if !nodes.remainder().is_empty() {
            return None;
        }
        let nodes = nodes.filter_map(|node| {
            let (first, rest) = node.split_first_chunk::<8>()?;
            let (depth, secret) = rest.split_first()?;
            Some((u64::from_be_bytes(*first), *depth, secret.try_into().ok()?))
        });
        Some(Self {
            epoch: u32::from_be_bytes(*epoch),
            snapshot_key: *snapshot_key,
            tree: KeyTree::from_nodes(nodes)?,
        })
    }
}
