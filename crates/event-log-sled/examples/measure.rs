//! Measures appends in groups of 64, disk per event, and reopening.
//!
//! `cargo run --release -p event-log-sled --example measure -- [events] [directory] [noise]`

use std::path::PathBuf;
use std::time::Instant;

use event_log::{EventLog as _, NewRecord, conformance::record, verify};
use event_log_sled::{SledLog, SledLogOptions};

const GROUP: u32 = 64;

#[expect(clippy::print_stdout, reason = "the numbers are what it is for")]
#[expect(
    clippy::cast_precision_loss,
    reason = "of numbers to be read by people"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let events: u32 = arguments.next().map_or(Ok(1_000_000), |it| it.parse())?;
    let directory = arguments
        .next()
        .map_or_else(|| PathBuf::from("measured"), PathBuf::from);
    let noise = arguments.next().is_some_and(|it| it == "noise");
    let open = || SledLog::open(&directory, &SledLogOptions::default());
    let log = open()?;
    let encoded_bytes: usize = group(1, noise).iter().enumerate().map(encoded).sum();
    let encoded = encoded_bytes as f64 / f64::from(GROUP);

    let started = Instant::now();
    for number in (0..events).step_by(GROUP as usize) {
        log.append(&group(number, noise))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let (head, stats) = (log.head(), log.stats()?);
    let written = head.position.0 as f64;
    println!("append: {:.0} events/s", written / seconds);
    let disk = stats.disk_bytes as f64 / written;
    println!(
        "disk: {disk:.0} bytes per event, encoded {encoded:.0}, ratio {:.2}",
        disk / encoded
    );

    drop(log);
    let started = Instant::now();
    let log = open()?;
    println!(
        "reopen: {:.2} s at {} events",
        started.elapsed().as_secs_f64(),
        head.position
    );
    let resident = std::fs::read_to_string("/proc/self/status")?;
    let resident = resident.lines().find(|line| line.starts_with("VmRSS"));
    println!("memory after reopening: {}", resident.unwrap_or_default());
    let started = Instant::now();
    let report = verify(&log, &mut |_| ());
    println!(
        "verify: {:.0} events/s, damage {:?}",
        written / started.elapsed().as_secs_f64(),
        report.damage
    );
    Ok(())
}

/// Events of about 220 bytes: JSON as profiles have it, or noise, which nothing can compress.
fn group(from: u32, noise: bool) -> Vec<NewRecord> {
    (from..from + GROUP)
        .map(|number| {
            let mut new = record(number, 0);
            let mut state = u64::from(number) + 1;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 32
            };
            new.payload = if noise {
                (0..182).map(|_| random().to_be_bytes()[7]).collect()
            } else {
                format!(
                    r#"{{"email":"user{number}@example.com","name":"User {:x}","plan":"pro","city":"Ghent","country":"BE","visits":{},"score":{},"token":"{:08x}{:08x}","active":true,"tags":["a","b","c"]}}"#,
                    random(), random() % 10_000, random() % 1_000, random(), random(),
                )
                .into_bytes()
            };
            new.subjects = vec![types::SubjectId(number / 2)];
            new
        })
        .collect()
}

fn encoded((place, record): (usize, &NewRecord)) -> usize {
    let mut bytes = Vec::new();
    event_log::encode(
        record,
        types::Position(1_000_000 + place as u64),
        &mut bytes,
    );
    bytes.len()
}
