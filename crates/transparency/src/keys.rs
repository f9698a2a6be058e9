//! The key that signs checkpoints, and the history of those before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proofs::{InvalidHistory, InvalidKey, KeyHistory, SignerKey, TreeHead};

use crate::files::{Readable, beside, read, replace, sync_parent};

const KEY: &str = "log-key";
const HISTORY: &str = "log-keys";

/// What the log signs with, and what was signed with before.
#[derive(Debug)]
pub struct Keys {
    signer: SignerKey,
    history: KeyHistory,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path} cannot be used: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path} holds no signing key: {error}")]
    Key { path: PathBuf, error: InvalidKey },
    #[error("{path} holds no history of keys: {error}")]
    History {
        path: PathBuf,
        error: InvalidHistory,
    },
    #[error("the signing key {0} is not there")]
    Missing(PathBuf),
    #[error(
        "the signing key {0} is gone, although the log has signed with one. Put it back from where \
         it is kept. If it is lost, nobody can say in the log's name that another one follows: move \
         log-keys and tiles/ out of the data directory to begin with a new key, and tell whoever \
         checks the log"
    )]
    Lost(PathBuf),
    #[error(
        "{path} is not the key that the log signed with last: put the right one there, or let one \
         follow the other with `muster log rotate-key`"
    )]
    OtherKey { path: PathBuf },
    #[error(
        "the log is called `{name}` in its signing key and `{setting}` in the settings: its name \
         does not change, so leave log_origin away or as it was"
    )]
    OtherOrigin { name: String, setting: String },
}

impl Keys {
    /// The keys in a data directory. Where there never was one, and no path is given, one is made.
    pub fn open(
        data: &Path,
        key_path: Option<&Path>,
        origin: Option<&str>,
    ) -> Result<Self, KeyError> {
        let path = key_path.map_or_else(|| data.join(KEY), Path::to_owned);
        let history_path = data.join(HISTORY);
        let history = read_history(&history_path)?;
        finish_rotation(&path, history.as_ref())?;
        let signer = match read_key(&path)? {
            Some(signer) => signer,
            None if key_path.is_some() => return Err(KeyError::Missing(path)),
            None if history.is_some() => return Err(KeyError::Lost(path)),
            None => {
                let name = origin.map_or_else(made_up_name, str::to_owned);
                let signer = generate(&name).map_err(|error| KeyError::Key {
                    path: path.clone(),
                    error,
                })?;
                write_key(&path, &signer)?;
                signer
            }
        };
        let name = signer.verifier().name();
        if let Some(setting) = origin.filter(|setting| *setting != name) {
            return Err(KeyError::OtherOrigin {
                name: name.to_owned(),
                setting: setting.to_owned(),
            });
        }
        let history = match history {
            Some(history) if history.current() == signer.verifier() => history,
            Some(_) => return Err(KeyError::OtherKey { path }),
            None => {
                if data.join("tiles").join("keys").exists() {
                    tracing::warn!(
                        path = %history_path.display(),
                        "the history of signing keys is gone and begins anew: who knows an older key \
                         only cannot follow to this one; put the file back from a backup if there is one"
                    );
                }
                let history = KeyHistory::beginning_with(signer.verifier().clone());
                write_history(&history_path, &history)?;
                history
            }
        };
        Ok(Self { signer, history })
    }

    /// Reads what there is of keys, and changes nothing.
    pub(crate) fn check(data: &Path, key_path: Option<&Path>) -> Result<(), KeyError> {
        read_history(&data.join(HISTORY))?;
        read_key(&key_path.map_or_else(|| data.join(KEY), Path::to_owned))?;
        Ok(())
    }

    /// The keys of a data directory in which there are some already.
    pub(crate) fn existing(data: &Path, key_path: Option<&Path>) -> Result<Option<Self>, KeyError> {
        if read_history(&data.join(HISTORY))?.is_none() {
            return Ok(None);
        }
        Self::open(data, key_path, None).map(Some)
    }

    /// Lets a new key follow, from this head of the log on.
    pub fn rotate(
        &mut self,
        data: &Path,
        key_path: Option<&Path>,
        head: TreeHead,
    ) -> Result<(), KeyError> {
        let path = key_path.map_or_else(|| data.join(KEY), Path::to_owned);
        let history_path = data.join(HISTORY);
        let invalid = |error| KeyError::History {
            path: history_path.clone(),
            error,
        };
        let new = generate(self.signer.verifier().name()).map_err(|error| invalid(error.into()))?;
        let mut history = self.history.clone();
        history.rotate(&self.signer, &new, head).map_err(invalid)?;
        // The new key is on disk before the history names it, and takes over when it does: whatever is
        // cut off here, an opening finishes it or forgets it.
        write_key(&next(&path), &new)?;
        write_history(&history_path, &history)?;
        self.history = history;
        self.signer = new;
        finish_rotation(&path, Some(&self.history))
    }

    pub fn signer(&self) -> &SignerKey {
        &self.signer
    }

    pub fn history(&self) -> &KeyHistory {
        &self.history
    }
}

/// Puts the key in its place that the history names last, or forgets one that it does not name.
fn finish_rotation(path: &Path, history: Option<&KeyHistory>) -> Result<(), KeyError> {
    let next = next(path);
    let io = |error| KeyError::Io {
        path: next.clone(),
        error,
    };
    if !fs::exists(&next).map_err(io)? {
        return Ok(());
    }
    let new = read_key(&next).ok().flatten();
    let named = history.zip(new.as_ref());
    if named.is_some_and(|(history, new)| history.current() == new.verifier()) {
        fs::rename(&next, path).map_err(io)?;
    } else {
        fs::remove_file(&next).map_err(io)?;
    }
    sync_parent(path).map_err(io)
}

fn next(path: &Path) -> PathBuf {
    beside(path, "next")
}

fn generate(name: &str) -> Result<SignerKey, InvalidKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system provides randomness");
    SignerKey::from_seed(name, &seed)
}

/// Names of logs must differ, and nobody was asked.
fn made_up_name() -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    format!("muster/{}", types::hex(&random))
}

fn read_key(path: &Path) -> Result<Option<SignerKey>, KeyError> {
    let Some(bytes) = read_file(path)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let key = text.trim_end().parse().map_err(|error| KeyError::Key {
        path: path.to_owned(),
        error,
    })?;
    Ok(Some(key))
}

fn read_history(path: &Path) -> Result<Option<KeyHistory>, KeyError> {
    let Some(bytes) = read_file(path)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let history = KeyHistory::parse(&text).map_err(|error| KeyError::History {
        path: path.to_owned(),
        error,
    })?;
    Ok(Some(history))
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    read(path).map_err(|error| KeyError::Io {
        path: path.to_owned(),
        error,
    })
}

fn write_key(path: &Path, key: &SignerKey) -> Result<(), KeyError> {
    let text = format!("{}\n", key.reveal());
    replace(path, text.as_bytes(), Readable::ByOwner).map_err(|error| KeyError::Io {
        path: path.to_owned(),
        error,
    })
}

fn write_history(path: &Path, history: &KeyHistory) -> Result<(), KeyError> {
    let text = history.to_string();
    replace(path, text.as_bytes(), Readable::ByAll).map_err(|error| KeyError::Io {
        path: path.to_owned(),
        error,
    })
}
