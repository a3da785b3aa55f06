//! The line of a run in the table of figures, and the file that keeps the table.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::AnyResult;
use crate::checker::Verdict;
use crate::options::TortureOptions;
use crate::plan::Strikes;

const HEADER: &str = "\
| nemesis | seconds | workflows | transfers | messages | ticks | violations | a start | a whole order | goes on elsewhere |
|---|---|---|---|---|---|---|---|---|---|
";
/// Between these two lines of a file is the table.
const BEGIN: &str = "<!-- written by `torture --write`: begin -->";
const END: &str = "<!-- end -->";

/// A line of the table.
pub(crate) fn row(options: &TortureOptions, strikes: &Strikes, verdict: &Verdict, lasted: Duration) -> String {
    let mut row = format!("| {}{}", key(options), if strikes.is_empty() { "" } else { ":" });
    for (name, times) in strikes {
        let _ = if strikes.len() == 1 { write!(row, " x{times}") } else { write!(row, " {name} x{times},") };
    }
    let row = row.trim_end_matches(',');
    let Verdict { workflows, transfers, messages, ticks, .. } = verdict;
    let violations = verdict.violations.len();
    let (starts, answers) = (quantiles(&verdict.starts), quantiles(&verdict.answers));
    let (seconds, recoveries) = (lasted.as_secs(), quantiles(&verdict.recoveries));
    format!(
        "{row} | {seconds} | {workflows} | {transfers} | {messages} | {ticks} | {violations} | {starts} | {answers} | {recoveries} |"
    )
}

/// What names a run in the table: a later one replaces it.
fn key(options: &TortureOptions) -> String {
    let nemesis = if options.long { "**the long form**" } else { &options.nemesis };
    format!("{nemesis}, {}", options.store)
}

/// The median, the 99th percentile and the longest.
fn quantiles(values: &[u64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let Some(longest) = sorted.last() else { return "–".to_owned() };
    let at = |percent: usize| sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)];
    format!("{}/{}/{longest}", at(50), at(99))
}

/// Puts a line into the table of a file, in place of the one that had the same nemesis and store.
pub(crate) fn write(file: &Path, options: &TortureOptions, row: &str) -> AnyResult<()> {
    let text = std::fs::read_to_string(file)?;
    let missing = || format!("{} has no lines `{BEGIN}` and `{END}`", file.display());
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (table, after) = rest.split_once(END).ok_or_else(missing)?;
    let same = format!("| {}", key(options));
    let is_same = |line: &str| line.strip_prefix(&same).is_some_and(|it| it.starts_with([':', ' ']));
    let mut rows: Vec<&str> = table.lines().filter(|it| it.starts_with("| ") && !HEADER.contains(it)).collect();
    match rows.iter().position(|it| is_same(it)) {
        Some(index) => rows[index] = row,
        None => rows.push(row),
    }
    rows.sort_unstable();
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{before}{BEGIN}\n\n{HEADER}{}\n\n{END}{after}", rows.join("\n")))?;
    std::fs::rename(new, file)?;
    Ok(())
}
