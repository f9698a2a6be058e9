use std::io::{Stdout, Write as _, stdout};

use crate::RUNS;

/// The table as it is printed, row by row.
pub(crate) struct Table {
    out: Stdout,
}

impl Table {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism()?;
        let mut out = stdout().lock();
        writeln!(
            out,
            "machine: {}, {cores} cores",
            model.map_or("unknown", |(_, name)| name)
        )?;
        writeln!(
            out,
            "medians of {RUNS} runs; ratio = Muster / baseline, run by run"
        )?;
        let (what, muster, baseline, ratio) = ("what", "Muster", "baseline", "ratio");
        writeln!(
            out,
            "{what:<58} {muster:>12} {baseline:>12} {ratio:>7}  note"
        )?;
        drop(out);
        Ok(Self { out: stdout() })
    }

    pub(crate) fn row(
        &mut self,
        what: &str,
        pairs: &[(f64, f64)],
        note: &str,
    ) -> anyhow::Result<()> {
        let muster = median(pairs.iter().map(|pair| pair.0));
        let baseline = median(pairs.iter().map(|pair| pair.1));
        let ratio = median(pairs.iter().map(|(muster, baseline)| muster / baseline));
        writeln!(
            self.out,
            "{what:<58} {muster:>12.1} {baseline:>12.1} {ratio:>7.2}  {note}"
        )?;
        Ok(())
    }

    /// A figure without a baseline.
    pub(crate) fn figure(&mut self, what: &str, runs: &[f64], note: &str) -> anyhow::Result<()> {
        let muster = median(runs.iter().copied());
        writeln!(
            self.out,
            "{what:<58} {muster:>12.1} {:>12} {:>7}  {note}",
            "", ""
        )?;
        Ok(())
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
