//! The index of audiences over a million profiles, against the same rules asked one by one.

use std::hint::black_box;
use std::time::Instant;

use events::ProfileUpdate;
use serde_json::{Value, json};
use types::filter::Group;
use types::{AudienceId, PageLimit, SubjectId};

use crate::RUNS;
use crate::engine_writes::to_f64;
use crate::table::Table;
use crate::world::{PEOPLE, PLANS, Plain, Random, TENANTS, World, parse};

/// Writes of one run.
const WRITES: usize = 5_000;
const MICROSECONDS: f64 = 1_000_000.0;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let before = memory_bytes()?;
    let mut world = World::populated();
    let bare = memory_bytes()?;
    let per_profile = |bytes: f64| bytes / f64::from(PEOPLE);
    table.figure(
        "memory per profile without audiences, bytes",
        &[per_profile(bare - before)],
        "all read models",
    )?;
    let mut random = Random(7);
    writes(table, &mut world, &mut random, "without audiences", &[])?;
    let broad: Vec<Value> = (0..10_000).map(broad_rule).collect();
    let tenant_like: Vec<Value> = (0..TENANTS).map(tenant_rule).collect();
    for (what, rules) in [
        ("1,000 broad audiences", &broad[..1_000]),
        ("10,000 broad audiences", &broad[..]),
        ("10,000 tenant-like audiences", &tenant_like[..10_000]),
        ("100,000 tenant-like audiences", &tenant_like[..]),
    ] {
        let started = Instant::now();
        for (number, rule) in rules.iter().enumerate() {
            world.define(&format!("audience-{number}"), rule, 1);
        }
        let defining = started.elapsed().as_secs_f64() * MICROSECONDS / to_f64(rules.len() as u64);
        let more = memory_bytes()? - bare;
        let members: u64 = (0..rules.len())
            .filter_map(|number| AudienceId::parse(&format!("audience-{number}")).ok())
            .filter_map(|id| world.models.audiences.count(&id))
            .sum();
        table.figure(
            &format!("{what}: memory per profile, bytes more"),
            &[per_profile(more)],
            &format!("{members} memberships; defining one took {defining:.0} µs"),
        )?;
        writes(table, &mut world, &mut random, what, rules)?;
        if rules.len() == 1_000 {
            irrelevant_writes(table, &mut world)?;
            pages(table, &world)?;
            edit(table, &mut world)?;
            previews(table, &world)?;
        }
        for number in 0..rules.len() {
            world.delete(&format!("audience-{number}"));
        }
    }
    Ok(())
}

/// Two of the attributes that everybody has: most match between a hundredth and half of all.
fn broad_rule(number: u32) -> Value {
    let leaf = |operator: &str, path: &str, value: String| json!({"operator": operator, "path": path, "value": value});
    let plan = PLANS[(number % 8) as usize];
    let first = match number % 3 {
        0 => leaf("EQ", "plan", plan.to_owned()),
        1 => leaf("NEQ", "plan", plan.to_owned()),
        _ => leaf("INCLUDES", "tags", format!("tag {}", number % 20)),
    };
    let second = match number % 4 {
        0 => leaf("GT", "age", (18 + number / 4 % 60).to_string()),
        1 => leaf("LTE", "age", (18 + number / 4 % 60).to_string()),
        2 => leaf("GTE", "score", (number / 4 % 1_000).to_string()),
        _ => leaf("EQ", "active", (number / 4).is_multiple_of(2).to_string()),
    };
    json!({"operator": if number.is_multiple_of(5) { "OR" } else { "AND" }, "filters": [first, second]})
}

fn tenant_rule(number: u32) -> Value {
    json!({"operator": "AND", "filters": [
        {"operator": "EQ", "path": "tenant_id", "value": format!("tenant-{number}")},
        {"operator": "EQ", "path": "plan", "value": PLANS[(number % 8) as usize]},
    ]})
}

/// One attribute of somebody changes: how long until every audience is right again.
fn writes(
    table: &mut Table,
    world: &mut World,
    random: &mut Random,
    what: &str,
    rules: &[Value],
) -> anyhow::Result<()> {
    let parsed: Vec<Group> = rules.iter().map(parse).collect();
    let (mut p50, mut p95, mut p99, mut pairs) = (vec![], vec![], vec![], vec![]);
    // The first run makes memory ready, and does not count.
    for run in 0..=RUNS {
        let mut times = Vec::with_capacity(WRITES);
        for _ in 0..WRITES {
            let subject = SubjectId(random.below(PEOPLE));
            let changes = match random.below(3) {
                0 => json!({"age": 18 + random.below(60)}),
                1 => json!({"plan": PLANS[random.below(8) as usize]}),
                _ => json!({"score": f64::from(random.below(100_000)) / 100.0}),
            };
            let (envelope, document) = world.update(subject, &changes, ProfileUpdate::Merge);
            let (group, documents) = ([envelope], [Some(document)]);
            let started = Instant::now();
            world.models.apply(&group, &documents);
            times.push(started.elapsed().as_secs_f64() * MICROSECONDS);
        }
        if run == 0 {
            continue;
        }
        times.sort_by(f64::total_cmp);
        let at = |hundredths: usize| times[WRITES * hundredths / 100];
        p50.push(at(50));
        p95.push(at(95));
        p99.push(at(99));
        if !parsed.is_empty() {
            pairs.push((at(50), naive_write(world, &parsed, random)));
        }
    }
    let what = format!("one write, {what}, µs");
    if parsed.is_empty() {
        table.figure(&format!("{what}: p50"), &p50, "")?;
    } else {
        table.row(
            &format!("{what}: p50"),
            &pairs,
            "baseline: every rule asked",
        )?;
    }
    table.figure(&format!("{what}: p95"), &p95, "")?;
    table.figure(&format!("{what}: p99"), &p99, "")
}

/// An attribute changes about which no rule asks.
fn irrelevant_writes(table: &mut Table, world: &mut World) -> anyhow::Result<()> {
    let mut random = Random(8);
    let mut p50 = Vec::new();
    for _ in 0..RUNS {
        let mut times = Vec::with_capacity(WRITES);
        for number in 0..WRITES {
            let subject = SubjectId(random.below(PEOPLE));
            let changes = json!({"country": format!("nowhere {number}")});
            let (envelope, document) = world.update(subject, &changes, ProfileUpdate::Merge);
            let (group, documents) = ([envelope], [Some(document)]);
            let started = Instant::now();
            world.models.apply(&group, &documents);
            times.push(started.elapsed().as_secs_f64() * MICROSECONDS);
        }
        times.sort_by(f64::total_cmp);
        p50.push(times[WRITES / 2]);
    }
    table.figure(
        "one write that no rule asks about, µs: p50",
        &p50,
        "with 1,000 broad audiences",
    )
}

/// The profile parsed once and every rule asked about it.
fn naive_write(world: &World, rules: &[Group], random: &mut Random) -> f64 {
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let subject = SubjectId(random.below(PEOPLE));
            let document = world.models.profiles.document(subject);
            let started = Instant::now();
            let plain = Plain {
                profile: document.map(|it| it.to_object()).unwrap_or_default(),
                now: world.now(),
            };
            let held = rules.iter().filter(|rule| rule.matches(&plain)).count();
            black_box(held);
            started.elapsed().as_secs_f64() * MICROSECONDS
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How many are in an audience, and a page of them from anywhere.
fn pages(table: &mut Table, world: &World) -> anyhow::Result<()> {
    let mut random = Random(9);
    let id = |number: u32| AudienceId::parse(&format!("audience-{number}"));
    let (mut counts, mut first_pages) = (vec![], vec![]);
    for _ in 0..RUNS {
        let started = Instant::now();
        for number in 0..1_000 {
            black_box(world.models.audiences.count(&id(number)?));
        }
        counts.push(started.elapsed().as_secs_f64() * MICROSECONDS / 1_000.0);
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..1_000 {
            let (id, after) = (id(random.below(1_000))?, SubjectId(random.below(PEOPLE)));
            let audiences = &world.models.audiences;
            let started = Instant::now();
            black_box(audiences.members(&id, Some(after), PageLimit::default()));
            times.push(started.elapsed().as_secs_f64() * MICROSECONDS);
        }
        times.sort_by(f64::total_cmp);
        first_pages.push(times[500]);
    }
    table.figure("count of one audience, µs", &counts, "the mean of 1,000")?;
    table.figure(
        "100 members from a random place, µs",
        &first_pages,
        "p50; before serialising",
    )
}

/// A rule that nobody has saved, over everybody.
fn previews(table: &mut Table, world: &World) -> anyhow::Result<()> {
    let leaf = |operator: &str, path: &str, value: &str| json!({"operator": operator, "path": path, "value": value});
    let all = |rules: &[Value]| json!({"operator": "AND", "filters": rules});
    let saved: Vec<Value> = (0..200)
        .map(|number| broad_rule(10_000 + number * 37))
        .collect();
    measure_rules(table, world, "a new rule of two conditions, ms", &saved)?;
    for (what, rule) in [
        (
            "EQ and range",
            all(&[leaf("EQ", "plan", "pro"), leaf("GT", "age", "40")]),
        ),
        ("range over 100,000 values", leaf("GT", "score", "333.33")),
        (
            "range over a million times",
            leaf("IS_AFTER", "seen", "2025-07-01"),
        ),
        (
            "window over a million times",
            leaf("WITHIN_LAST", "seen", "P90D"),
        ),
        ("part of a million texts", leaf("INCLUDES", "email", "99@")),
    ] {
        // The first preview makes the index of a path of which nobody asked before.
        let started = Instant::now();
        world
            .models
            .preview(&parse(&rule), world.now(), 10, &|| true);
        let first = started.elapsed().as_secs_f64() * 1_000.0;
        let what = format!("preview, {what}, ms");
        measure_rule(table, world, &what, &rule, first)?;
    }
    Ok(())
}

fn measure_rule(
    table: &mut Table,
    world: &World,
    what: &str,
    rule: &Value,
    first: f64,
) -> anyhow::Result<()> {
    let rule = parse(rule);
    let mut pairs = Vec::new();
    for _ in 0..RUNS {
        let started = Instant::now();
        let previewed = world.models.preview(&rule, world.now(), 10, &|| true);
        let (preview, _) = previewed.unwrap_or_default();
        let indexed = started.elapsed().as_secs_f64() * 1_000.0;
        let (naive, count) = naive_rule(world, &rule, 7);
        anyhow::ensure!(
            preview.count.abs_diff(count * 7) <= count.max(700),
            "{rule:?}"
        );
        pairs.push((indexed, naive));
    }
    table.row(what, &pairs, &format!("the first one took {first:.0} ms"))
}

fn measure_rules(
    table: &mut Table,
    world: &World,
    what: &str,
    rules: &[Value],
) -> anyhow::Result<()> {
    let rules: Vec<Group> = rules.iter().map(parse).collect();
    let (mut p50, mut p95) = (vec![], vec![]);
    for _ in 0..RUNS {
        let mut times: Vec<f64> = rules
            .iter()
            .map(|rule| {
                let started = Instant::now();
                black_box(world.models.preview(rule, world.now(), 10, &|| true));
                started.elapsed().as_secs_f64() * 1_000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        p50.push(times[times.len() / 2]);
        p95.push(times[times.len() * 95 / 100]);
    }
    table.figure(&format!("{what}: p50"), &p50, "of 200 rules")?;
    table.figure(&format!("{what}: p95"), &p95, "of 200 rules")
}

/// Everybody asked, as far as one in so many stands for all; the time for all, and how many match.
fn naive_rule(world: &World, rule: &Group, one_in: u32) -> (f64, u64) {
    let started = Instant::now();
    let mut count = 0;
    for number in (0..PEOPLE).step_by(one_in as usize) {
        let Some(document) = world.models.profiles.document(SubjectId(number)) else {
            continue;
        };
        let plain = Plain {
            profile: document.to_object(),
            now: world.now(),
        };
        count += u64::from(rule.matches(&plain));
    }
    let time = started.elapsed().as_secs_f64() * 1_000.0 * f64::from(one_in);
    (time, count)
}

/// An edit of a rule that moves a hundred thousand people.
fn edit(table: &mut Table, world: &mut World) -> anyhow::Result<()> {
    let rule = |plan: &str| json!({"operator": "EQ", "path": "plan", "value": plan});
    world.define("edited", &rule("free"), 1);
    let id = AudienceId::parse("edited")?;
    let before = world.models.audiences.count(&id).unwrap_or_default();
    let mut times = Vec::new();
    for version in 2..2 + 2 * u32::try_from(RUNS)? {
        let plan = if version % 2 == 0 { "pro" } else { "free" };
        let started = Instant::now();
        world.define("edited", &rule(plan), version);
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    let after = world.models.audiences.count(&id).unwrap_or_default();
    world.delete("edited");
    table.figure(
        "an edit that moves 250,000 memberships, ms",
        &times,
        &format!("one event; {before} members before, {after} after"),
    )
}

/// What the process holds in memory.
fn memory_bytes() -> anyhow::Result<f64> {
    const PAGE_BYTES: f64 = 4_096.0;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let resident = statm.split(' ').nth(1).unwrap_or("0").parse::<u64>()?;
    Ok(to_f64(resident) * PAGE_BYTES)
}
