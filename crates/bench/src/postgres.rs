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

/// The function lives in a schema of its own, and takes care of the version itself.
const WRITE_MESSAGE: &str = "\\set n random(1, 2000000000)\n\
    select message_store.write_message(gen_random_uuid()::varchar, 'profile-' || :n, \
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
    let cluster = Cluster::start(directory.path())?;
    let pairs = |rates: Vec<f64>| ours.iter().copied().zip(rates).collect::<Vec<_>>();
    let rates = cluster.rates("postgres", INSERT)?;
    table.row(
        what,
        &pairs(rates),
        "plain insert, unique (stream, version)",
    )?;
    let what = "durable writes/s, 32 callers, against message-db";
    match std::env::var("MESSAGE_DB") {
        Ok(database) => {
            cluster.install_message_db(&database)?;
            let rates = cluster.rates("message_store", WRITE_MESSAGE)?;
            table.row(what, &pairs(rates), "its write_message function")
        }
        Err(_) => table.figure(
            what,
            &ours,
            "set MESSAGE_DB to the `database` folder of its source",
        ),
    }
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
        Ok(cluster)
    }

    /// Its own script installs its tables and functions into a database of their own.
    fn install_message_db(&self, folder: &str) -> anyhow::Result<()> {
        let host = format!("PGHOST={}", self.socket.display());
        let path = format!("PATH={PROGRAMS}:/usr/bin:/bin");
        let script = format!("{folder}/install.sh");
        run_as_postgres("/usr/bin/env", &[&host, &path, "bash", &script], None)?;
        // Its functions call each other by their bare names.
        let socket = self.socket.display().to_string();
        let search = "alter database message_store set search_path = message_store, public";
        let arguments = ["-h", &socket, "-d", "message_store", "-c", search];
        run_as_postgres(&program("psql"), &arguments, None).map(drop)
    }

    /// Transactions per second of a script, each a transaction of its own.
    fn rates(&self, database: &str, script: &str) -> anyhow::Result<Vec<f64>> {
        let file = self.socket.join("script.sql");
        fs::write(&file, script)?;
        let (file, socket) = (
            file.display().to_string(),
            self.socket.display().to_string(),
        );
        (0..RUNS)
            .map(|_| {
                let arguments = [
                    "-h", &socket, "-n", "-c", CLIENTS, "-j", "2", "-T", "4", "-f", &file, database,
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
