//! Durable writes through the engine, against a raw append-only file that is written and synced in
//! groups of the same size.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ProfileCommand;
use engine::{Command, Engine, EngineOptions, EventStore, Origin, Until};
use event_log::EventLog;
use serde_json::json;
use server::MasterKeySource;
use types::{SystemClock, UserId};

use crate::RUNS;
use crate::counting_log::CountingLog;
use crate::table::Table;

const PEOPLE: usize = 1_000;

struct Outcome {
    events_per_second: f64,
    events_per_commit: f64,
    record_bytes: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    for callers in [1, 16, 64, 256, 1_024] {
        let (mut rates, mut latencies, mut p99) = (Vec::new(), Vec::new(), Vec::new());
        let mut group = 0.0;
        for _ in 0..RUNS {
            let ours = through_the_engine(callers)?;
            let (raw_rate, raw_ms) = raw_file(ours.events_per_commit, ours.record_bytes)?;
            rates.push((ours.events_per_second, raw_rate));
            latencies.push((ours.p50_ms, raw_ms));
            p99.push(ours.p99_ms);
            group = ours.events_per_commit;
        }
        let note = format!("groups of {group:.0}");
        table.row(
            &format!("durable writes/s, {callers} callers, against a raw file"),
            &rates,
            &note,
        )?;
        if callers == 1 {
            table.row(
                "p50 of one caller in ms, against a raw append",
                &latencies,
                "",
            )?;
        }
        if callers == 256 {
            table.figure("p99 of 256 callers in ms", &p99, "")?;
        }
    }
    Ok(())
}

/// Events per second with so many callers.
pub(crate) fn rate(callers: usize) -> anyhow::Result<f64> {
    Ok(through_the_engine(callers)?.events_per_second)
}

fn through_the_engine(callers: usize) -> anyhow::Result<Outcome> {
    let data = tempfile::tempdir_in(".")?;
    let store = server::open_store(data.path(), &MasterKeySource::Beside)?;
    let counting = Arc::new(CountingLog::new(store.log));
    let store = EventStore {
        log: Arc::clone(&counting) as Arc<dyn EventLog>,
        vault: store.vault,
    };
    let rebuilt = engine::replay(&store, Until::Head, &mut |_| ())?;
    let options = EngineOptions::default();
    let (engine, _writer) = engine::start(store.clone(), rebuilt, Arc::new(SystemClock), options);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let per_caller = (20_000 / callers).clamp(20, 2_000);
    runtime.block_on(async {
        for person in 0..PEOPLE {
            write(&engine, person, 0).await?;
        }
        let (head, commits, bytes) = (
            store.log.head().position.0,
            counting.commits(),
            counting.sampled_bytes(),
        );
        let started = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let mut latencies = Vec::with_capacity(per_caller);
                    for round in 1..=per_caller {
                        let asked = Instant::now();
                        write(
                            &engine,
                            (caller * 7 + round) % PEOPLE,
                            caller * 10_000 + round,
                        )
                        .await?;
                        latencies.push(asked.elapsed());
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await??);
        }
        let took = started.elapsed();
        latencies.sort_unstable();
        let events = to_f64(store.log.head().position.0 - head);
        let commits = to_f64(counting.commits() - commits);
        Ok(Outcome {
            events_per_second: events / took.as_secs_f64(),
            events_per_commit: events / commits,
            record_bytes: to_f64(counting.sampled_bytes() - bytes) / commits,
            p50_ms: milliseconds(latencies[latencies.len() / 2]),
            p99_ms: milliseconds(latencies[latencies.len() * 99 / 100]),
        })
    })
}

async fn write(engine: &Engine, person: usize, round: usize) -> anyhow::Result<()> {
    let profile =
        json!({"email": format!("user{person}@example.com"), "plan": "pro", "visits": round});
    let serde_json::Value::Object(profile) = profile else {
        anyhow::bail!("not an object")
    };
    let command = Command::Profile {
        user_id: UserId::parse(&format!("user-{person}"))?,
        command: ProfileCommand::Merge(profile),
    };
    engine.execute(command, Origin::default()).await?;
    Ok(())
}

/// Rate and time per sync of a file that takes groups of so many records.
fn raw_file(group: f64, record_bytes: f64) -> anyhow::Result<(f64, f64)> {
    let directory = tempfile::tempdir_in(".")?;
    append(&directory.path().join("raw"), group, record_bytes)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and positive"
)]
fn append(path: &Path, group: f64, record_bytes: f64) -> anyhow::Result<(f64, f64)> {
    let bytes = vec![7; (group * record_bytes) as usize];
    let syncs = 500;
    let mut file = File::create(path)?;
    let started = Instant::now();
    let mut times = Vec::new();
    for _ in 0..syncs {
        let asked = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(asked.elapsed());
    }
    let took = started.elapsed().as_secs_f64();
    times.sort_unstable();
    Ok((
        f64::from(syncs) * group / took,
        milliseconds(times[times.len() / 2]),
    ))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a bench are far below 2^52"
)]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}
