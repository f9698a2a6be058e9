use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use backup::{BackupSet, NamedFile};
use engine::{EventStore, Until};
use event_log::{EventLog as _, Head};
use types::{Position, SubjectId};
use vault::Vault;

use crate::master_key::MasterKeySource;
use crate::store::{being_filled, log_being_filled, open_store};

/// The files of a data directory that cannot be made again from the log.
const FILES: [&str; 7] = [
    Vault::FILE,
    MasterKeySource::FILE,
    "token-secret",
    "webhook-secret",
    "link-secret",
    "log-key",
    "log-keys",
];

/// The directory of what webhooks were told.
pub(crate) const WEBHOOKS: &str = "webhooks";

/// Records written in one commit.
const GROUP_RECORDS: usize = 1_024;
const GROUP_BYTES: usize = 256 * 1024;
/// How much of the log is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;

/// What a backup holds besides the log. The master key is among it only where it lies beside the data.
pub(crate) fn files(data: &Path, vault: &Vault) -> io::Result<Vec<NamedFile>> {
    let mut files = Vec::new();
    // From the vault itself: it may be about to replace its file, and wipe the old one.
    let sealed = vault.sealed_bytes().map_err(io::Error::other)?;
    files.extend(sealed.map(|content| NamedFile {
        name: Vault::FILE.to_owned(),
        content,
    }));
    for name in FILES.into_iter().filter(|name| *name != Vault::FILE) {
        match fs::read(data.join(name)) {
            Ok(content) => {
                let name = name.to_owned();
                files.push(NamedFile { name, content });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for name in webhook_files(data)? {
        let content = match fs::read(data.join(&name)) {
            Ok(content) => content,
            // That of a webhook that was removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        files.push(NamedFile { name, content });
    }
    Ok(files)
}

/// How far each webhook has got, and what was given up.
fn webhook_files(data: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(data.join(WEBHOOKS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy());
        // What is being written is none yet.
        let is_new = path.extension().is_some_and(|it| it == "new");
        names.extend(
            name.filter(|_| !is_new)
                .map(|name| format!("{WEBHOOKS}/{name}")),
        );
    }
    Ok(names)
}

/// Fills a data directory that is not there yet, or is empty, with the events of a backup up to a moment.
/// Until that is done nobody can open it. People who were erased before the backup was taken stay erased,
/// whatever the moment.
pub fn restore(
    set: &BackupSet,
    data: &Path,
    master_key: &MasterKeySource,
    until: Until,
    progress: &mut dyn FnMut(Position),
) -> anyhow::Result<Head> {
    ensure_empty(data)?;
    let files = set.files()?;
    let mark = begin(data)?;
    let head = write_records(set, data, until, progress)?;
    // A backup holds its checkpoint as well, which is of no use here.
    // What webhooks were told is of the end of the log, and would pass over what comes after a moment
    // before.
    let is_whole = until == Until::Head;
    let is_wanted =
        |name: &str| FILES.contains(&name) || is_whole && name.split('/').next() == Some(WEBHOOKS);
    finish(data, &mark, files.iter().filter(|it| is_wanted(&it.name)))?;
    // Whether the keys fit is told now, and erasures that the backup has as events are finished.
    let store = open_store(data, master_key)
        .context("the events are restored; the keys that open them do not fit")?;
    renew_keys(&store)?;
    store.log.close()?;
    Ok(head)
}

/// Numbers that people got after the moment at which the log now ends are given anew, and whoever had one
/// may have been erased.
fn renew_keys(store: &EventStore) -> anyhow::Result<()> {
    let types = store.log.index().types();
    let registered = types.iter().find(|(name, _)| name == "subject.registered");
    let next = registered.map_or(0, |(_, count)| *count);
    let next = SubjectId(u32::try_from(next).context("there are more people than numbers")?);
    Ok(store.vault.renew_from(next)?)
}

/// Makes a data directory of another one whose log is open, up to a position.
pub fn copy_until(
    store: &EventStore,
    from: &Path,
    to: &Path,
    master_key: &MasterKeySource,
    last: Position,
) -> anyhow::Result<Head> {
    ensure_empty(to)?;
    let files = files(from, &store.vault)?;
    let mark = begin(to)?;
    let log = log_being_filled(to)?;
    let mut next = Position(1);
    while next <= last {
        for raw in store.log.read(next, PIECE_BYTES)? {
            let block = raw.decode()?;
            let positions = (block.header().first.0..).map(Position);
            let wanted = positions.zip(block.record_bytes());
            let wanted = wanted.take_while(|(position, _)| *position <= last);
            let group: Vec<Vec<u8>> = wanted.map(|(_, bytes)| bytes.to_owned()).collect();
            next = block.header().last().next();
            log.append_stored(&group, engine::labels_of)?;
            if next > last {
                break;
            }
        }
    }
    log.close()?;
    let head = log.head();
    drop(log);
    finish(
        to,
        &mark,
        files.iter().filter(|it| FILES.contains(&&*it.name)),
    )?;
    let copied = open_store(to, master_key)?;
    renew_keys(&copied)?;
    copied.log.close()?;
    Ok(head)
}

fn ensure_empty(data: &Path) -> anyhow::Result<()> {
    let is_empty = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(error).context(data.display().to_string()),
    };
    ensure!(
        is_empty,
        "{} is not empty; a new data directory is needed",
        data.display()
    );
    Ok(())
}

/// Until it is finished nobody else can open the directory.
fn begin(data: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(data)?;
    let mark = being_filled(data);
    File::create(&mark)?.sync_all()?;
    Ok(mark)
}

fn finish<'a>(
    data: &Path,
    mark: &Path,
    files: impl Iterator<Item = &'a NamedFile>,
) -> anyhow::Result<()> {
    for file in files {
        let path = data.join(&file.name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        write_secret(&path, &file.content)?;
    }
    fs::remove_file(mark)?;
    Ok(File::open(data)?.sync_all()?)
}

fn write_records(
    set: &BackupSet,
    data: &Path,
    until: Until,
    progress: &mut dyn FnMut(Position),
) -> anyhow::Result<Head> {
    let log = log_being_filled(data)?;
    let (mut group, mut bytes) = (Vec::new(), 0);
    set.read(&mut |position, record, stored| {
        let is_wanted = match until {
            Until::Head => true,
            Until::Position(last) => position <= last,
            Until::Time(last) => record.recorded_at <= last,
        };
        if !is_wanted {
            return anyhow::Ok(ControlFlow::Break(()));
        }
        bytes += stored.len();
        group.push(stored.to_owned());
        if group.len() == GROUP_RECORDS || bytes >= GROUP_BYTES {
            log.append_stored(&group, engine::labels_of)?;
            group.clear();
            bytes = 0;
            progress(position);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    log.append_stored(&group, engine::labels_of)?;
    if let Until::Position(wanted) = until {
        ensure!(
            log.head().position >= wanted,
            "the backup ends at position {}, and {wanted} was asked for",
            log.head().position,
        );
    }
    log.close()?;
    Ok(log.head())
}

fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
