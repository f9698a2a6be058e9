//! The same writes into `PostgreSQL` 15, where it is installed: a cluster of its own, with its
//! default durability.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::RUNS;
use crate::engine_writes;
use crate::table::Table;

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const CLIENTS: &str = "32";
const SCHEMA: &str = "create table events (position bigserial primary key, stream text not null, \
    version int not null, type text not null, recorded_at timestamptz not null default now(), \
    data jsonb not null, unique (stream, version));";
const INSERT: &str = "\\set n random(1, 2000000000)\n\\set m random(1, 2000000000)\n\
    insert into events (stream, version, type, data) values ('profile-' || :n, :m, \
    'profile.updated', '{\"email\":\"user@example.com\",\"plan\":\"pro\",\"visits\":1}');\n";

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let what = "durable writes/s, 32 callers, against PostgreSQL 15";
    let ours = (0..RUNS)
        .map(|_| engine_writes::rate(32))
        .collect::<Result<Vec<_>, _>>()?;
    if !Path::new(PROGRAMS).join("initdb").exists() {
        return table.figure(
            what,
            &ours,
            "PostgreSQL 15 is not installed: apt-get install postgresql-15",
        );
    }
    let directory = tempfile::Builder::new()
        .prefix("muster-bench-")
        .tempdir_in("/var/tmp")?;
    let rates = Cluster::start(directory.path())?.insert()?;
    let pairs: Vec<_> = ours.into_iter().zip(rates).collect();
    table.row(what, &pairs, "plain insert, unique (stream, version)")
}

/// Stopped when dropped.
struct Cluster {
    data: PathBuf,
    socket: PathBuf,
}

impl Cluster {
    fn start(directory: &Path) -> anyhow::Result<Self> {
        let cluster = Self {
            data: directory.join("data"),
            socket: directory.to_owned(),
        };
        // It refuses to run as root; its package makes a user for it.
        run_as_postgres("chown", &[], Some(directory))?;
        let data = cluster.data.display().to_string();
        run_as_postgres(&program("initdb"), &["-D", &data, "-A", "trust"], None)?;
        let options = format!("-k {} -c listen_addresses=''", cluster.socket.display());
        let log = directory.join("log").display().to_string();
        run_as_postgres(
            &program("pg_ctl"),
            &["-D", &data, "-w", "-o", &options, "-l", &log, "start"],
            None,
        )?;
        let socket = cluster.socket.display().to_string();
        run_as_postgres(
            &program("psql"),
            &["-h", &socket, "-d", "postgres", "-c", SCHEMA],
            None,
        )?;
        fs::write(directory.join("insert.sql"), INSERT)?;
        Ok(cluster)
    }

    fn insert(&self) -> anyhow::Result<Vec<f64>> {
        let script = self.socket.join("insert.sql").display().to_string();
        let socket = self.socket.display().to_string();
        (0..RUNS)
            .map(|_| {
                let arguments = [
                    "-h", &socket, "-n", "-c", CLIENTS, "-j", "2", "-T", "4", "-f", &script,
                    "postgres",
                ];
                let printed = run_as_postgres(&program("pgbench"), &arguments, None)?;
                let rate = printed
                    .lines()
                    .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
                rate.context("pgbench prints a rate")?
                    .parse()
                    .context("the rate is a number")
            })
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data.display().to_string();
        // The directory goes away in any case.
        let _ = run_as_postgres(
            &program("pg_ctl"),
            &["-D", &data, "-m", "immediate", "stop"],
            None,
        );
    }
}

fn program(name: &str) -> String {
    format!("{PROGRAMS}/{name}")
}

fn run_as_postgres(
    program: &str,
    arguments: &[&str],
    give_away: Option<&Path>,
) -> anyhow::Result<String> {
    let mut command = if let Some(directory) = give_away {
        let mut command = Command::new(program);
        command.arg("postgres").arg(directory);
        command
    } else {
        let mut command = Command::new("runuser");
        command
            .args(["-u", "postgres", "--", program])
            .args(arguments);
        command
    };
    let output = command.stdin(Stdio::null()).current_dir("/").output()?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
