use api::Process;
use procfs::WithCurrentSystemInfo as _;

/// What the operating system says of this process; zeros where it says nothing.
pub(crate) fn process() -> Process {
    looked().unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times in seconds, for which 53 bits are more than enough"
)]
fn looked() -> procfs::ProcResult<Process> {
    let me = procfs::process::Process::myself()?;
    let stat = me.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    let booted = procfs::boot_time_secs()? as f64;
    Ok(Process {
        memory_bytes: stat.rss_bytes().get(),
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        open_files: me.fd_count()? as u64,
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        started_at: booted + stat.starttime as f64 / ticks,
    })
}
