//! What the machine and the kernel say.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tests::process;

use crate::stats::Samples;

/// The time of day: what an event's timestamp is compared with.
pub(crate) fn now() -> Duration {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server's clock is this machine's, and its timestamps are what is measured"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).expect("it is after 1970")
}

/// The time that a process has spent on the cores.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    // utime and stime
    ticks(pid, &[11, 12])
}

/// The same, with that of its children that have ended.
pub(crate) fn cpu_with_ended_children(pid: u32) -> Result<Duration> {
    ticks(pid, &[11, 12, 13, 14])
}

/// Sums fields of `/proc/PID/stat`, counted from the state.
fn ticks(pid: u32, fields: &[usize]) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything, so read from its last parenthesis on.
    let (_, rest) = stat.rsplit_once(')').context("a process's state")?;
    let values: Vec<&str> = rest.split_whitespace().collect();
    let sum: u32 = fields
        .iter()
        .filter_map(|field| values.get(*field)?.parse::<u32>().ok())
        .sum();
    Ok(Duration::from_secs(1) / tick_rate() * sum)
}

fn tick_rate() -> u32 {
    static RATE: OnceLock<u32> = OnceLock::new();
    *RATE.get_or_init(|| said("getconf", &["CLK_TCK"]).parse().unwrap_or(100))
}

/// The memory of a process that is not swapped out, in MB.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .context("a process's memory")?;
    Ok(kib * 1024.0 / 1e6)
}

/// The first line of what a program says; nothing if it is not there.
pub(crate) fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .map(|output| output.stdout);
    let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The machine in one line: its processor, cores, kernel, and how long its disk takes to keep 4 KiB.
pub(crate) fn describe() -> Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("an unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism()?;
    let kernel = said("uname", &["-sr"]);
    let mut disk = disk()?;
    Ok(format!(
        "{model}, {cores} cores, {kernel}, fsync of 4 KiB p50 / p99 {}",
        disk.p50_p99()
    ))
}

fn disk() -> Result<Samples> {
    let dir = tempfile::tempdir_in(process::shared_dir()?)?;
    let mut file = File::create(dir.path().join("page"))?;
    let mut samples = Samples::default();
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let begun = Instant::now();
        file.sync_data()?;
        samples.push(begun.elapsed());
    }
    Ok(samples)
}
