//! A process's doings to a directory and its answers to clients, in one order, taken from a trace.
//!
//! The model knows files by identity, not by name, so that it follows renames, and it refuses calls
//! that it does not understand. Every recording is proven against the directory that the process
//! really left behind before it is used.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::trace::{Call, Moment, Trace};
use crate::tree::{Entry, Tree};

pub(crate) type NodeId = usize;

pub(crate) const ROOT: NodeId = 0;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) directory: NodeId,
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Directory,
    /// With what it held before the recording, which is taken to be on the disk.
    File(Vec<u8>),
}

#[derive(Debug)]
pub(crate) enum Deed {
    Write {
        file: NodeId,
        start: usize,
        data: Vec<u8>,
    },
    Resize {
        file: NodeId,
        length: usize,
    },
    Link {
        name: Name,
        node: NodeId,
    },
    Rename {
        from: Name,
        to: Name,
        node: NodeId,
    },
    Unlink {
        name: Name,
        node: NodeId,
    },
    /// `fsync` or `fdatasync`, of a file or a directory.
    Sync {
        node: NodeId,
    },
}

#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) entered: Moment,
    /// `None` when the process ended within the call.
    pub(crate) left: Option<Moment>,
    pub(crate) deed: Deed,
}

/// An answer as a client may have seen it from this moment on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) moment: Moment,
    pub(crate) position: u64,
    pub(crate) success: bool,
}

#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: HashMap<Name, NodeId>,
    /// In the order in which they ended.
    pub(crate) operations: Vec<Operation>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) stop_signal: Option<Moment>,
    pub(crate) end: Moment,
}

impl Recording {
    /// `root` held `before` when the traced process started, and nobody else has touched it since.
    pub(crate) fn from_trace(trace: &Trace, root: &Path, before: &Tree) -> Result<Self> {
        let mut recorder = Recorder::new(root, before);
        let mut steps: Vec<(Moment, bool, &Call)> = Vec::new();
        for call in &trace.calls {
            steps.push((call.entered, false, call));
            steps.push((call.left.unwrap_or(Moment::MAX), true, call));
        }
        // Entry before exit within one line; the sort is stable, so unfinished calls stay ordered.
        steps.sort_by_key(|(moment, leaving, _)| (*moment, *leaving));
        for (_, leaving, call) in steps {
            let done = if leaving {
                recorder.leave(call)
            } else {
                recorder.enter(call)
            };
            done.with_context(|| format!("line {} of the trace: {}", call.entered + 1, call.name))?;
        }
        let mut recording = recorder.recording;
        recording.stop_signal = trace.stop_signal;
        recording.end = trace.end;
        Ok(recording)
    }

    /// The highest position that a client may have seen by `cut`, and the number of successes.
    pub(crate) fn answered_by(&self, cut: Moment) -> (u64, usize) {
        let seen = self.answers.iter().filter(|answer| answer.moment <= cut);
        let position = seen
            .clone()
            .map(|answer| answer.position)
            .max()
            .unwrap_or(0);
        (position, seen.filter(|answer| answer.success).count())
    }

    /// Nodes that had a name in the data directory beginning with `prefix` at any time.
    pub(crate) fn nodes_named(&self, prefix: &str) -> Vec<NodeId> {
        let linked = self
            .operations
            .iter()
            .filter_map(|operation| match &operation.deed {
                Deed::Link { name, node } | Deed::Rename { to: name, node, .. } => {
                    Some((name, *node))
                }
                Deed::Write { .. }
                | Deed::Resize { .. }
                | Deed::Unlink { .. }
                | Deed::Sync { .. } => None,
            });
        let named = self
            .names
            .iter()
            .map(|(name, node)| (name, *node))
            .chain(linked);
        let mut nodes: Vec<_> = named
            .filter(|(name, _)| name.text.starts_with(prefix))
            .map(|(_, node)| node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

impl Deed {
    /// What this does to the content of its file, which is nothing for deeds to names.
    pub(crate) fn apply_to(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { start, data, .. } => {
                let end = start + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*start..end].copy_from_slice(data);
            }
            Self::Resize { length, .. } => content.resize(*length, 0),
            Self::Link { .. } | Self::Rename { .. } | Self::Unlink { .. } | Self::Sync { .. } => {}
        }
    }

    /// The node whose content or existence this touches.
    pub(crate) fn node(&self) -> NodeId {
        match self {
            Self::Write { file, .. } | Self::Resize { file, .. } => *file,
            Self::Link { node, .. }
            | Self::Rename { node, .. }
            | Self::Unlink { node, .. }
            | Self::Sync { node } => *node,
        }
    }
}

/// What one `open` made: descriptors that were duplicated share it.
struct Description {
    node: NodeId,
    offset: usize,
    appends: bool,
}

struct Recorder<'a> {
    root: &'a Path,
    recording: Recording,
    /// Names as the process sees them now.
    live: HashMap<Name, NodeId>,
    /// What the process sees in each file now.
    contents: Vec<Vec<u8>>,
    descriptions: Vec<Description>,
    descriptors: HashMap<i64, usize>,
    /// What a descriptor meant when a call that is under way was entered.
    entered: HashMap<Moment, usize>,
    /// Likewise source and target of a copy.
    copies: HashMap<Moment, (usize, usize)>,
    /// How many files and directories there were when a call was entered that syncs them all.
    there: HashMap<Moment, usize>,
}

impl<'a> Recorder<'a> {
    fn new(root: &'a Path, before: &Tree) -> Self {
        let mut nodes = vec![Node::Directory];
        let mut names = HashMap::new();
        let mut directories = HashMap::from([(PathBuf::new(), ROOT)]);
        for (path, entry) in &before.entries {
            let directory = directories[path.parent().expect("an entry is below the root")];
            let node = nodes.len();
            nodes.push(match entry {
                Entry::Directory => Node::Directory,
                Entry::File(content) => Node::File(content.clone()),
            });
            if *entry == Entry::Directory {
                directories.insert(path.clone(), node);
            }
            let text = text_of(path.file_name().expect("an entry has a name"));
            names.insert(Name { directory, text }, node);
        }
        let contents = nodes.iter().map(Node::content).collect();
        Self {
            root,
            live: names.clone(),
            recording: Recording {
                nodes,
                names,
                operations: Vec::new(),
                answers: Vec::new(),
                stop_signal: None,
                end: 0,
            },
            contents,
            descriptions: Vec::new(),
            descriptors: HashMap::new(),
            entered: HashMap::new(),
            copies: HashMap::new(),
            there: HashMap::new(),
        }
    }

    fn enter(&mut self, call: &Call) -> Result<()> {
        match call.name.as_str() {
            // Another thread may be given the number before this call is seen to end.
            "close" => {
                self.descriptors.remove(&call.number(0)?);
            }
            "write" | "pwrite64" | "sendto" => self.enter_write(call, |call| call.bytes(1))?,
            "writev" | "pwritev" | "pwritev2" | "sendmsg" => {
                self.enter_write(call, |call| call.vectors(1))?;
            }
            "fsync" | "fdatasync" | "ftruncate" | "fallocate" | "read" | "readv" | "lseek" => {
                if let Some(description) = self.descriptors.get(&call.number(0)?) {
                    self.entered.insert(call.entered, *description);
                }
            }
            "syncfs" => {
                self.there.insert(call.entered, self.recording.nodes.len());
            }
            "mmap" => {
                let shared = call.argument(3)?.contains("MAP_SHARED");
                let writable = call.argument(2)?.contains("PROT_WRITE");
                let ours = call
                    .number(4)
                    .is_ok_and(|fd| self.descriptors.contains_key(&fd));
                ensure!(
                    !(shared && writable && ours),
                    "a file is written through memory"
                );
            }
            "copy_file_range" => self.enter_copy(call)?,
            "splice" => {
                let ours = self.descriptors.contains_key(&call.number(2)?);
                ensure!(!ours, "the model does not follow this way to write a file");
            }
            "sendfile" => {
                let ours = self.descriptors.contains_key(&call.number(0)?);
                ensure!(!ours, "the model does not follow this way to write a file");
            }
            "clone" | "clone3" => {
                ensure!(
                    call.argument(0)?.contains("CLONE_THREAD")
                        || call
                            .arguments
                            .iter()
                            .any(|argument| argument.contains("CLONE_THREAD")),
                    "a second process"
                );
            }
            "fork" | "vfork" => bail!("a second process"),
            "io_uring_setup" | "io_submit" | "sync" | "chdir" | "fchdir" | "sendmmsg"
            | "openat2" | "close_range" => bail!("the model does not know this call"),
            _ => {}
        }
        Ok(())
    }

    /// Only what the standard library's `fs::copy` does: both offsets move by themselves.
    fn enter_copy(&mut self, call: &Call) -> Result<()> {
        let from = self.descriptors.get(&call.number(0)?).copied();
        let to = self.descriptors.get(&call.number(2)?).copied();
        if let Some(to) = to {
            let from = from.context("a copy from outside the directory")?;
            let plain = call.argument(1)? == "NULL" && call.argument(3)? == "NULL";
            ensure!(plain, "a copy with offsets of its own");
            self.copies.insert(call.entered, (from, to));
        } else {
            ensure!(from.is_none(), "a copy out of the directory");
        }
        Ok(())
    }

    fn enter_write(&mut self, call: &Call, data: impl Fn(&Call) -> Result<Vec<u8>>) -> Result<()> {
        if let Some(description) = self.descriptors.get(&call.number(0)?) {
            self.entered.insert(call.entered, *description);
        } else {
            // Descriptors outside the directory are sockets, pipes and the like; an answer counts
            // from here, because the client may see it before the call is over.
            let data = data(call)?;
            self.recording
                .answers
                .extend(answers_in(&data, call.entered));
        }
        Ok(())
    }

    fn leave(&mut self, call: &Call) -> Result<()> {
        let failed = call.left.is_some() && call.result < 0;
        match call.name.as_str() {
            "open" | "openat" | "creat" if !failed => self.leave_open(call),
            "write" | "writev" => self.leave_write(call, None),
            "pwrite64" | "pwritev" | "pwritev2" => self.leave_write(call, Some(call.number(3)?)),
            "copy_file_range" if !failed => self.leave_copy(call),
            "read" | "readv" if !failed => {
                if let Some(description) = self.entered.remove(&call.entered) {
                    self.descriptions[description].offset += to_length(call.result.max(0))?;
                }
                Ok(())
            }
            "lseek" if !failed => {
                if let Some(description) = self.entered.remove(&call.entered) {
                    self.descriptions[description].offset = to_length(call.result.max(0))?;
                }
                Ok(())
            }
            "dup" | "dup2" | "dup3" if !failed => self.leave_dup(call),
            "fcntl" if !failed && call.argument(1)?.starts_with("F_DUPFD") => self.leave_dup(call),
            "fsync" | "fdatasync" if !failed && !call.injected => {
                if let Some(description) = self.entered.remove(&call.entered) {
                    let node = self.descriptions[description].node;
                    self.record(call, Deed::Sync { node });
                }
                Ok(())
            }
            // Of the whole file system, so of whatever was there when it was called.
            "syncfs" if !failed && !call.injected => {
                for node in 0..self.there.remove(&call.entered).unwrap_or_default() {
                    self.record(call, Deed::Sync { node });
                }
                Ok(())
            }
            "ftruncate" if !failed && !call.injected => {
                self.resize(call, to_length(call.number(1)?)?);
                Ok(())
            }
            "fallocate" if !failed && !call.injected => {
                ensure!(call.argument(1)? == "0", "only plain fallocate is modelled");
                let length = to_length(call.number(2)? + call.number(3)?)?;
                let grows = self
                    .entered
                    .get(&call.entered)
                    .is_some_and(|at| self.contents[self.descriptions[*at].node].len() < length);
                if grows {
                    self.resize(call, length);
                }
                Ok(())
            }
            "mkdir" if !failed => self.make_directory(call, self.locate(None, call.path(0)?)?),
            "mkdirat" if !failed => {
                let path = self.locate(Some(call.argument(0)?), call.path(1)?)?;
                self.make_directory(call, path)
            }
            "rename" if !failed => {
                let from = self.locate(None, call.path(0)?)?;
                let to = self.locate(None, call.path(1)?)?;
                self.rename(call, from, to)
            }
            "renameat" | "renameat2" if !failed => {
                let exchanges = call
                    .arguments
                    .get(4)
                    .is_some_and(|flags| flags.contains("EXCHANGE"));
                ensure!(!exchanges, "an exchange of two names is not modelled");
                let from = self.locate(Some(call.argument(0)?), call.path(1)?)?;
                let to = self.locate(Some(call.argument(2)?), call.path(3)?)?;
                self.rename(call, from, to)
            }
            "unlink" | "rmdir" if !failed => self.unlink(call, self.locate(None, call.path(0)?)?),
            "unlinkat" if !failed => {
                let name = self.locate(Some(call.argument(0)?), call.path(1)?)?;
                self.unlink(call, name)
            }
            "truncate" | "link" | "linkat" | "symlink" | "symlinkat" if !failed => {
                for index in 0..call.arguments.len() {
                    let Ok(path) = call.path(index) else { continue };
                    ensure!(
                        !Path::new(&path).starts_with(self.root),
                        "not modelled: {path}"
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn leave_open(&mut self, call: &Call) -> Result<()> {
        let (path, flags) = match call.name.as_str() {
            "openat" => (
                self.locate(Some(call.argument(0)?), call.path(1)?)?,
                call.argument(2)?,
            ),
            "creat" => (
                self.locate(None, call.path(0)?)?,
                "O_WRONLY|O_CREAT|O_TRUNC",
            ),
            _ => (self.locate(None, call.path(0)?)?, call.argument(1)?),
        };
        let node = match path {
            Place::Outside => {
                self.descriptors.remove(&call.result);
                return Ok(());
            }
            Place::Root => ROOT,
            Place::Named(name) => {
                ensure!(
                    !flags.contains("O_TMPFILE"),
                    "nameless files are not modelled"
                );
                let known = self.live.get(&name).copied();
                let node = if let Some(node) = known {
                    node
                } else {
                    ensure!(
                        flags.contains("O_CREAT"),
                        "{name:?} was opened though the model does not know it"
                    );
                    self.create(call, name, Node::File(Vec::new()))
                };
                if flags.contains("O_TRUNC") && !self.contents[node].is_empty() {
                    self.record(
                        call,
                        Deed::Resize {
                            file: node,
                            length: 0,
                        },
                    );
                }
                node
            }
        };
        if call.left.is_some() {
            let appends = flags.contains("O_APPEND");
            self.descriptors
                .insert(call.result, self.descriptions.len());
            self.descriptions.push(Description {
                node,
                offset: 0,
                appends,
            });
        }
        Ok(())
    }

    fn leave_dup(&mut self, call: &Call) -> Result<()> {
        match self.descriptors.get(&call.number(0)?).copied() {
            Some(description) => self.descriptors.insert(call.result, description),
            None => self.descriptors.remove(&call.result),
        };
        Ok(())
    }

    fn leave_write(&mut self, call: &Call, start: Option<i64>) -> Result<()> {
        let Some(description) = self.entered.remove(&call.entered) else {
            return Ok(());
        };
        if call.injected || (call.left.is_some() && call.result <= 0) {
            return Ok(());
        }
        let mut data = if call.name.contains('v') {
            call.vectors(1)?
        } else {
            call.bytes(1)?
        };
        if call.left.is_some() {
            data.truncate(to_length(call.result)?);
        }
        let description = &mut self.descriptions[description];
        let file = description.node;
        let start = if let Some(start) = start {
            to_length(start)?
        } else {
            if description.appends {
                description.offset = self.contents[file].len();
            }
            let start = description.offset;
            description.offset += data.len();
            start
        };
        self.record(call, Deed::Write { file, start, data });
        Ok(())
    }

    fn leave_copy(&mut self, call: &Call) -> Result<()> {
        let Some((from, to)) = self.copies.remove(&call.entered) else {
            return Ok(());
        };
        let length = if call.left.is_some() {
            call.result
        } else {
            call.number(4)?
        };
        let source = &self.contents[self.descriptions[from].node];
        let begin = self.descriptions[from].offset.min(source.len());
        let end = (begin + to_length(length)?).min(source.len());
        let data = source[begin..end].to_vec();
        self.descriptions[from].offset = end;
        let start = self.descriptions[to].offset;
        self.descriptions[to].offset += data.len();
        let file = self.descriptions[to].node;
        self.record(call, Deed::Write { file, start, data });
        Ok(())
    }

    fn resize(&mut self, call: &Call, length: usize) {
        if let Some(description) = self.entered.remove(&call.entered) {
            let file = self.descriptions[description].node;
            self.record(call, Deed::Resize { file, length });
        }
    }

    fn make_directory(&mut self, call: &Call, place: Place) -> Result<()> {
        match place {
            Place::Outside => {}
            Place::Root => bail!("the root was there already"),
            Place::Named(name) => {
                self.create(call, name, Node::Directory);
            }
        }
        Ok(())
    }

    fn create(&mut self, call: &Call, name: Name, node: Node) -> NodeId {
        let id = self.recording.nodes.len();
        self.recording.nodes.push(node);
        self.contents.push(Vec::new());
        self.live.insert(name.clone(), id);
        self.record(call, Deed::Link { name, node: id });
        id
    }

    fn rename(&mut self, call: &Call, from: Place, to: Place) -> Result<()> {
        match (from, to) {
            (Place::Outside, Place::Outside) => Ok(()),
            (Place::Named(from), Place::Named(to)) => {
                // A call that never ended may also have failed, for want of the name.
                let Some(node) = self.live.remove(&from) else {
                    ensure!(call.left.is_none(), "{from:?} is unknown");
                    return Ok(());
                };
                self.live.insert(to.clone(), node);
                self.record(call, Deed::Rename { from, to, node });
                Ok(())
            }
            _ => bail!("a rename across the border of the directory"),
        }
    }

    fn unlink(&mut self, call: &Call, place: Place) -> Result<()> {
        let Place::Named(name) = place else {
            return Ok(());
        };
        let Some(node) = self.live.remove(&name) else {
            ensure!(call.left.is_none(), "{name:?} is unknown");
            return Ok(());
        };
        self.record(call, Deed::Unlink { name, node });
        Ok(())
    }

    fn record(&mut self, call: &Call, deed: Deed) {
        if let Deed::Write { file, .. } | Deed::Resize { file, .. } = &deed {
            deed.apply_to(&mut self.contents[*file]);
        }
        self.recording.operations.push(Operation {
            entered: call.entered,
            left: call.left,
            deed,
        });
    }

    /// What a path means now. `directory` is the first argument of the calls that end in `at`.
    fn locate(&self, directory: Option<&str>, path: String) -> Result<Place> {
        let path = PathBuf::from(path);
        let (mut node, relative) = if path.is_absolute() {
            match path.strip_prefix(self.root) {
                Ok(relative) => (ROOT, relative.to_path_buf()),
                Err(_) => return Ok(Place::Outside),
            }
        } else {
            let held = directory
                .and_then(|text| text.parse().ok())
                .and_then(|fd: i64| self.descriptors.get(&fd));
            match held {
                Some(description) => (self.descriptions[*description].node, path),
                // The process's own directory is never within the root.
                None => return Ok(Place::Outside),
            }
        };
        let mut parts = Vec::new();
        for component in relative.components() {
            match component {
                Component::Normal(part) => parts.push(text_of(part)),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    bail!("the path {} is not plain", relative.display())
                }
            }
        }
        let Some(last) = parts.pop() else {
            return Ok(if node == ROOT {
                Place::Root
            } else {
                bail!("an empty path")
            });
        };
        for text in parts {
            let name = Name {
                directory: node,
                text,
            };
            node = *self
                .live
                .get(&name)
                .with_context(|| format!("{name:?} is unknown"))?;
        }
        Ok(Place::Named(Name {
            directory: node,
            text: last,
        }))
    }
}

enum Place {
    Outside,
    Root,
    Named(Name),
}

impl Node {
    fn content(&self) -> Vec<u8> {
        match self {
            Self::Directory => Vec::new(),
            Self::File(content) => content.clone(),
        }
    }
}

/// The answers whose heads stand in one write to a socket.
fn answers_in(data: &[u8], moment: Moment) -> Vec<Answer> {
    let text = String::from_utf8_lossy(data);
    let mut answers = Vec::new();
    for head in text.split("HTTP/1.1 ").skip(1) {
        let head = head.split("\r\n\r\n").next().unwrap_or_default();
        let position = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("muster-position")
                .then(|| value.trim().parse().ok())?
        });
        if let Some(position) = position {
            answers.push(Answer {
                moment,
                position,
                success: head.starts_with('2'),
            });
        }
    }
    answers
}

fn text_of(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

fn to_length(number: i64) -> Result<usize> {
    usize::try_from(number).context("a length is not negative")
}
