use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use vault::{MasterKey, Vault};

/// Where the master key comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MasterKeySource {
    /// Itself, as hexadecimal digits.
    Given(String),
    File(PathBuf),
    /// A file in the data directory, made at the first start. Whoever has a copy of the directory has
    /// the key as well.
    #[default]
    Beside,
}

impl MasterKeySource {
    /// The name of the file in the data directory.
    pub const FILE: &str = "master-key";

    /// The master key of a data directory; `None` if it is to be beside the data, where no vault was
    /// ever sealed.
    pub(crate) fn read(&self, data: &Path) -> anyhow::Result<Option<MasterKey>> {
        match self {
            Self::Given(digits) => {
                let key = MasterKey::parse(digits).context("the setting master_key")?;
                Ok(Some(key))
            }
            Self::File(path) => read(path).map(Some),
            Self::Beside => {
                let path = data.join(Self::FILE);
                let there = path.exists() || data.join(Vault::FILE).exists();
                there.then(|| read(&path)).transpose()
            }
        }
    }

    /// A new one beside the data.
    pub(crate) fn make(data: &Path) -> anyhow::Result<MasterKey> {
        let path = data.join(Self::FILE);
        let key = MasterKey::generate();
        write_master_key(&path, &key)?;
        tracing::warn!(
            path = %path.display(),
            "a master key was made beside the data; the setting master_key_file keeps it elsewhere"
        );
        Ok(key)
    }
}

fn read(path: &Path) -> anyhow::Result<MasterKey> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => anyhow::bail!(
            "there is no master key in {}: without it nothing that the log says of people can be read. \
             Put it there, or name it by the setting master_key_file or master_key",
            path.display()
        ),
        other => other.with_context(|| format!("{} cannot be read", path.display()))?,
    };
    MasterKey::parse(&text).with_context(|| format!("{} cannot be used", path.display()))
}

/// Whole or not at all, readable by nobody else, and never over another.
pub fn write_master_key(path: &Path, key: &MasterKey) -> anyhow::Result<()> {
    let new = path.with_added_extension("new");
    let write = || {
        if new.exists() {
            fs::remove_file(&new)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{}", key.to_hex())?;
        file.sync_all()?;
        if path.exists() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        fs::rename(&new, path)?;
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
