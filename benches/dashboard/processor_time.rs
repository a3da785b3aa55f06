//! Processor time, as Linux counts it.

use std::fs;
use std::time::Duration;

/// How often Linux counts in a second, on every processor that it runs on today.
const TICKS: u32 = 100;

/// Of this process, and of all processes of Postgres.
pub(crate) fn processor_time() -> Duration {
    let processes = fs::read_dir("/proc").expect("this is Linux");
    let own = std::process::id();
    let ticks = processes.filter_map(Result::ok).filter_map(|it| {
        let id: u32 = it.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(it.path().join("stat")).ok()?; // it may have ended
        // The name stands in parentheses and may have any characters; the state follows.
        let (start, rest) = stat.rsplit_once(") ")?;
        let counted = id == own || start.ends_with("(postgres");
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
        // Fields 14 and 15 of the whole line: in programs, and in the kernel for them.
        counted.then_some(ticks(11)? + ticks(12)?)
    });
    Duration::from_secs(1) * ticks.sum() / TICKS
}
