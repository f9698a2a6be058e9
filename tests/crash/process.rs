//! The real binary: offline commands, and the server, alone or under strace.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::trace;

pub(crate) const API_KEY: &str = "crash-test-key";

/// Longer than anything here takes on a busy machine: what passes it hangs.
const DEADLINE: Duration = Duration::from_mins(2);

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// A death by signal counts, for no process here is meant to end by its own abort.
    pub(crate) fn panicked(&self) -> bool {
        self.status.code().is_none_or(|code| code == 101) || self.stderr.contains("panicked at")
    }

    pub(crate) fn summary(&self) -> String {
        let stderr: String = self.stderr.trim().chars().take(600).collect();
        format!("{}; stderr: {stderr}", self.status)
    }
}

/// Runs one offline command, such as `["log", "verify"]`.
pub(crate) fn offline(data_dir: &Path, command: &[&str]) -> Result<Outcome> {
    run(muster().args(command).arg("--data-dir").arg(data_dir))
}

pub(crate) fn import(data_dir: &Path, export: &Path) -> Result<Outcome> {
    run(muster()
        .arg("import")
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(File::open(export)?))
}

pub(crate) fn import_under_strace(
    data_dir: &Path,
    export: &Path,
    strace: &Strace,
) -> Result<Outcome> {
    let mut command = strace.command();
    run(command
        .arg("import")
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(File::open(export)?))
}

/// How to trace a process, and which calls to answer in the kernel's place.
pub(crate) struct Strace {
    pub(crate) output: PathBuf,
    /// In strace's notation, such as `fdatasync:error=EIO:when=3+`.
    pub(crate) inject: Option<String>,
}

impl Strace {
    pub(crate) fn recording(output: PathBuf) -> Self {
        Self {
            output,
            inject: None,
        }
    }

    pub(crate) fn read(&self) -> Result<String> {
        let bytes = std::fs::read(&self.output)?;
        String::from_utf8(bytes).context("a trace is text, because of -xx")
    }

    /// With `-D` the traced process is our child and the tracer is not, so that signals and the
    /// exit status are those of the binary. The tracer holds the binary's pipes open, so their end
    /// says that the trace is whole.
    fn command(&self) -> Command {
        require_strace();
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "--seccomp-bpf", "-xx", "-s", "16777216", "-o"]);
        command
            .arg(&self.output)
            .arg("-e")
            .arg(format!("trace={}", trace::TRACED));
        if let Some(inject) = &self.inject {
            command.arg("-e").arg(format!("inject={inject}"));
        }
        command.arg(binary());
        command
    }
}

pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts a server and waits until it says where it listens. `Err` in the inner result is a
    /// server that ended instead.
    pub(crate) fn start(data_dir: &Path, strace: Option<&Strace>) -> Result<Result<Self, Outcome>> {
        let mut server = Self::spawn(data_dir, strace)?;
        let deadline = Instant::now() + DEADLINE;
        // The channel closes when the process closes its output, that is, when it ends.
        while let Ok(line) = server
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if let Some(url) = url_in(&line) {
                server.url = url;
                return Ok(Ok(server));
            }
        }
        ensure!(
            Instant::now() < deadline,
            "the server neither listens nor ends"
        );
        Ok(Err(server.outcome()?))
    }

    /// Starts a server without waiting for anything.
    pub(crate) fn spawn(data_dir: &Path, strace: Option<&Strace>) -> Result<Self> {
        let mut command = strace.map_or_else(muster, Strace::command);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir);
        command.env("MUSTER_API_KEY", API_KEY);
        // What is told here is told on this machine.
        command.env("MUSTER_WEBHOOK_PRIVATE_TARGETS", "allow");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = read_aside(child.stderr.take().expect("stderr is piped"));
        Ok(Self {
            child,
            url: String::new(),
            lines,
            stderr: Some(stderr),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stop(mut self) -> Result<Outcome> {
        if self.child.try_wait()?.is_none() {
            let process_id = self.child.id().to_string();
            Command::new("kill").args(["-TERM", &process_id]).status()?;
        }
        self.outcome()
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.outcome()?;
        Ok(())
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for the end.
    pub(crate) fn outcome(&mut self) -> Result<Outcome> {
        let status = wait(&mut self.child)?;
        let stderr = self.stderr.take().context("the outcome is asked once")?;
        let stderr = stderr.join().expect("reading does not panic");
        Ok(Outcome {
            status,
            stdout: Vec::new(),
            stderr,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails half way must not leave its server behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `MUSTER_BIN`, or the binary that the same build left beside the test's own directory.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("MUSTER_BIN") {
            return given.into();
        }
        let test = std::env::current_exe().expect("a test knows its own path");
        let deps = test.parent().expect("a file is in a directory");
        let built = deps
            .parent()
            .expect("deps is in the profile's directory")
            .join("muster");
        assert!(
            built.exists(),
            "{} is not built: run `cargo build --bin muster` or set MUSTER_BIN",
            built.display()
        );
        built
    })
}

fn muster() -> Command {
    Command::new(binary())
}

fn require_strace() {
    static PRESENT: OnceLock<()> = OnceLock::new();
    PRESENT.get_or_init(|| {
        let is_there = || Command::new("strace").arg("-V").output().is_ok();
        if !is_there() {
            // A machine that has just been set up knows of no package before the first update.
            for arguments in [&["update"][..], &["install", "-y", "strace"]] {
                let _ = Command::new("apt-get").args(arguments).output();
            }
        }
        assert!(
            is_there(),
            "power cuts and failing disks need strace: apt-get install strace"
        );
    });
}

fn run(command: &mut Command) -> Result<Outcome> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let stdout = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let stderr = read_aside(child.stderr.take().expect("stderr is piped"));
    let status = wait(&mut child)?;
    Ok(Outcome {
        status,
        stdout: stdout.join().expect("reading does not panic")?,
        stderr: stderr.join().expect("reading does not panic"),
    })
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Asks again and again, because the standard library has no wait with a deadline.
fn wait(child: &mut Child) -> Result<ExitStatus> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("a process did not end within {} s", DEADLINE.as_secs());
        }
        thread::sleep(Duration::from_micros(500));
    }
}

fn url_in(line: &str) -> Option<String> {
    let start = line.find("http://")?;
    let url = line[start..].split_whitespace().next()?;
    Some(url.trim_end_matches('/').to_owned())
}

/// Prints past the capture of the test harness: seeds and tallies are for every run to show.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
