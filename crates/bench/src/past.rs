//! Snapshots, the past and backtests, over a year of events.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{AudienceCommand, AudiencePut, Change};
use engine::{Command, EngineOptions, EventStore, Origin, Snapshots, Until, UserUpsert};
use serde_json::{Map, Value, json};
use server::{Config, MasterKeySource, Server};
use types::{AudienceId, Clock, Timestamp, UserId};

use crate::client::{KEY, ask};
use crate::engine_writes::to_f64;
use crate::table::Table;
use crate::world::{Random, parse, profile};

/// People whom one command writes.
const BATCH: u32 = 1_000;
/// 2025-01-01T00:00:00Z.
const START: u64 = 1_735_689_600_000_000_000;
const YEAR: u64 = 365 * 24 * 60 * 60 * 1_000_000_000;

struct Size {
    name: &'static str,
    people: u32,
    /// Writes of one attribute of somebody.
    updates: u32,
    /// A snapshot after so many events.
    every: u64,
}

/// Moves on by as much each time it is asked.
struct Moving {
    now: AtomicU64,
    step: u64,
}

impl Clock for Moving {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.fetch_add(self.step, Ordering::Relaxed))
    }
}

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let sizes = [
        Size {
            name: "1 M events, 400,000 people",
            people: 400_000,
            updates: 200_000,
            every: 500_000,
        },
        Size {
            name: "10 M events, 1 M people",
            people: 1_000_000,
            updates: 8_000_000,
            every: 1_000_000,
        },
    ];
    for size in sizes {
        measure(table, &size)?;
    }
    Ok(())
}

fn measure(table: &mut Table, size: &Size) -> anyhow::Result<()> {
    let data = tempfile::tempdir_in(".")?;
    let store = server::open_store(data.path(), &MasterKeySource::Beside)?;
    let snapshots = server::open_snapshots(data.path(), &store)?;
    let began = Instant::now();
    fill(&store, &snapshots, size)?;
    let what = |text: &str| format!("{}: {text}", size.name);
    row(
        table,
        &what("writing them, with snapshots"),
        began.elapsed(),
    )?;
    let began = Instant::now();
    let replayed = engine::replay(&store, Until::Head, &mut |_| ())?;
    row(table, &what("replay"), began.elapsed())?;
    let turn = snapshots.turn();
    let written = snapshots.write(turn, &store.log, &replayed, &|| true)?;
    let written = written.expect("somebody wants it");
    let megabytes = to_f64(written.bytes) / 1e6;
    let took = milliseconds(written.took);
    table.figure(
        &what("a snapshot, ms"),
        &[took],
        &format!("{megabytes:.0} MB"),
    )?;
    let digests = replayed.read_models.digests();
    drop(replayed);
    let began = Instant::now();
    let go_on = &mut |_| ControlFlow::Continue(());
    let restored = snapshots.rebuild(&store, Until::Head, go_on)?;
    row(table, &what("the state from it"), began.elapsed())?;
    anyhow::ensure!(restored.read_models.digests() == digests, "another state");
    drop(restored);
    let kept: Vec<u64> = snapshots.positions()?.iter().map(|it| it.0).collect();
    table.figure(
        &what("snapshots that are kept"),
        &[to_f64(kept.len() as u64)],
        &format!("{kept:?}"),
    )?;
    store.log.close()?;
    drop((store, snapshots));
    ask_about(table, size, data.path())
}

/// Writes everything, and takes snapshots on the way as the server does.
fn fill(store: &EventStore, snapshots: &Snapshots, size: &Size) -> anyhow::Result<()> {
    let rebuilt = engine::replay(store, Until::Head, &mut |_| ())?;
    let commands = u64::from((size.people + size.updates) / BATCH);
    let clock = Moving {
        now: AtomicU64::new(START),
        step: YEAR / (commands + 2),
    };
    let options = EngineOptions::default();
    let (engine, _writer) = engine::start(store.clone(), rebuilt, Arc::new(clock), options);
    let run = |command| engine.execute_blocking(command, Origin::default());
    let rule = parse(&json!({"operator": "OR", "filters": plans(size)}));
    let put = AudiencePut {
        name: Change::Set("a".to_owned()),
        filter: Change::Set(rule),
        ..AudiencePut::default()
    };
    run(Command::Audience {
        audience: AudienceId::parse("a")?,
        command: AudienceCommand::Put(put),
    })?;
    let mut random = Random(1);
    let mut next_snapshot = size.every;
    for start in (0..size.people + size.updates).step_by(BATCH as usize) {
        let users = (start..start + BATCH).map(|number| {
            if number < size.people {
                upsert(number, profile(&mut random, number))
            } else {
                let changes = json!({"age": 18 + random.below(60)});
                upsert(random.below(size.people), changes)
            }
        });
        run(Command::UpsertUsers(users.collect::<anyhow::Result<_>>()?))?;
        if store.log.head().position.0 >= next_snapshot {
            next_snapshot += size.every;
            let turn = snapshots.turn();
            let go_on = &mut |_| ControlFlow::Continue(());
            let rebuilt = snapshots.rebuild(store, Until::Head, go_on)?;
            snapshots.write(turn, &store.log, &rebuilt, &|| true)?;
        }
    }
    Ok(())
}

/// Plans that about 100,000 of the people have.
fn plans(size: &Size) -> Value {
    let plan = |plan| json!({"operator": "EQ", "path": "plan", "value": plan});
    if size.people < 1_000_000 {
        json!([plan("pro"), plan("team")])
    } else {
        json!([plan("pro")])
    }
}

fn upsert(number: u32, profile: Value) -> anyhow::Result<UserUpsert> {
    let Value::Object(profile) = profile else {
        anyhow::bail!("not an object")
    };
    Ok(UserUpsert {
        user_id: UserId::parse(&format!("user-{number}"))?,
        profile: Some::<Map<_, _>>(profile),
        lists: vec![],
        tenants: vec![],
        choices: vec![],
        recipient_preferences: None,
        quiet_hours: None,
        tokens: vec![],
        restore: false,
    })
}

/// Starts the server, and asks about the past.
fn ask_about(table: &mut Table, size: &Size, data: &Path) -> anyhow::Result<()> {
    let what = |text: &str| format!("{}: {text}", size.name);
    let config = Config {
        data_dir: data.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        api_key: Some(KEY.to_owned()),
        snapshot_events: None::<NonZeroU64>,
        past_states_max: 1,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let began = Instant::now();
    let server = runtime.block_on(Server::start(&config))?;
    row(table, &what("start from a snapshot"), began.elapsed())?;
    let address = server.address();
    let (stop, told) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(server.run(async {
        let _ = told.await;
    }));
    let head: u64 = fs::read_dir(data.join("snapshots"))?
        .filter_map(|it| it.ok()?.path().file_stem()?.to_str()?.parse().ok())
        .max()
        .unwrap_or_default();
    for percent in [10, 50, 90, 99] {
        let as_of = head * percent / 100;
        let user = format!("/profiles/user-7?as_of={as_of}");
        let members = format!("/audiences/a/members?as_of={as_of}");
        let first = timed(address, "GET", &user, "")?;
        let again = timed(address, "GET", &user, "")?;
        let page = timed(address, "GET", &members, "")?;
        let note = format!(
            "again {:.2} ms, a page of the audience {:.2} ms",
            milliseconds(again),
            milliseconds(page),
        );
        let text = what(&format!("one user as of {percent} %, first, ms"));
        table.figure(&text, &[milliseconds(first)], &note)?;
        // As long as nothing is kept of this moment.
        timed(address, "GET", "/profiles/user-7?as_of=0", "")?;
        let first = timed(address, "GET", &members, "")?;
        let text = what(&format!("the audience as of {percent} %, first, ms"));
        table.figure(&text, &[milliseconds(first)], "")?;
        timed(address, "GET", "/profiles/user-7?as_of=0", "")?;
    }
    let filter = json!({"operator": "AND", "filters": [
        {"operator": "EQ", "path": "plan", "value": "pro"},
        {"operator": "GT", "path": "age", "value": "40"},
    ]});
    let asked = json!({"filter": filter, "from": "2025-01-02T00:00:00Z",
                       "to": "2025-12-31T00:00:00Z", "step": "P1D"});
    let took = timed(
        address,
        "POST",
        "/v1/audiences/backtest",
        &asked.to_string(),
    )?;
    row(table, &what("backtest of 364 days"), took)?;
    let _ = stop.send(());
    runtime.block_on(running)??;
    Ok(())
}

fn timed(address: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<Duration> {
    let answer = ask(address, method, path, body)?;
    anyhow::ensure!(
        matches!(answer.status, 200 | 404),
        "{path}: {}",
        answer.body
    );
    Ok(answer.took)
}

fn row(table: &mut Table, what: &str, took: Duration) -> anyhow::Result<()> {
    table.figure(&format!("{what}, ms"), &[milliseconds(took)], "")
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
