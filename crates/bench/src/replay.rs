//! Replay into read models.

use std::sync::Arc;
use std::time::Instant;

use domain::ProfileCommand;
use engine::{Command, EngineOptions, Origin, SubscribeMode, Subscriber, Until};
use serde_json::json;
use server::MasterKeySource;
use types::{ListId, SystemClock, UserId};

use crate::RUNS;
use crate::engine_writes::to_f64;
use crate::table::Table;

const PROFILES: usize = 100_000;
/// Requests that wait for their answers at the same time.
const CALLERS: usize = 1_024;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let profiles = |n: usize| {
        let serde_json::Value::Object(profile) = json!({
            "email": format!("user{n}@example.com"), "name": format!("User {n}"), "plan": "pro",
            "city": "Ghent", "country": "BE", "visits": n, "score": 17.25, "active": true,
            "tags": ["a", "b", "c"],
            "bio": "A text that brings the profile to about four hundred bytes of JSON in all. ".repeat(3),
        }) else {
            anyhow::bail!("not an object")
        };
        Ok(Command::Profile {
            user_id: UserId::parse(&format!("user-{n}"))?,
            command: ProfileCommand::Replace(profile),
        })
    };
    let memberships = |n: usize| {
        let subscriber = Subscriber {
            user_id: UserId::parse(&format!("user-{}", n % 1_000))?,
            preferences: None,
        };
        Ok(Command::Subscribe {
            list: ListId::parse(&format!("list-{}", n / 1_000))?,
            subscribers: vec![subscriber],
            mode: SubscribeMode::Add,
        })
    };
    measure(table, "replay of profiles, events/s", profiles)?;
    measure(table, "replay of memberships, events/s", memberships)
}

fn measure(
    table: &mut Table,
    what: &str,
    command: impl Fn(usize) -> anyhow::Result<Command>,
) -> anyhow::Result<()> {
    let data = tempfile::tempdir_in(".")?;
    let store = server::open_store(data.path(), &MasterKeySource::Beside)?;
    let rebuilt = engine::replay(&store, Until::Head, &mut |_| ())?;
    let (engine, _writer) = engine::start(
        store.clone(),
        rebuilt,
        Arc::new(SystemClock),
        EngineOptions::default(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        for start in (0..PROFILES).step_by(CALLERS) {
            let mut waiting = Vec::new();
            for n in start..PROFILES.min(start + CALLERS) {
                let (engine, command) = (engine.clone(), command(n)?);
                waiting.push(tokio::spawn(async move {
                    engine.execute(command, Origin::default()).await
                }));
            }
            for answer in waiting {
                answer.await??;
            }
        }
        anyhow::Ok(())
    })?;
    let events = store.log.head().position.0;
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        engine::replay(&store, Until::Head, &mut |_| ())?;
        rates.push(to_f64(events) / started.elapsed().as_secs_f64());
    }
    let per_event = to_f64(store.log.stats()?.disk_bytes) / to_f64(events);
    table.figure(
        what,
        &rates,
        &format!("{events} events, {per_event:.0} bytes of disk each"),
    )
}
