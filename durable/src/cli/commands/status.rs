//! `durable status`

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Result;
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::cli::text::{duration, groups};
use crate::{ExecutorState, Filter, GroupBy, Status, WorkflowCounts};

/// Show in short what is there: processes, queues, schedules
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {}

#[derive(Debug, Serialize)]
struct Overview {
    database: String,
    live_executors: usize,
    other_executors: usize,
    queues: usize,
    paused_queues: usize,
    waiting: u64,
    delayed: u64,
    running: u64,
    longest_lag_seconds: f64,
    schedules: usize,
    paused_schedules: usize,
    /// By status, as far as they are counted.
    workflows: WorkflowCounts,
}

pub(in crate::cli) async fn run(session: &Session, _: &StatusArguments) -> Result<()> {
    let client = session.connect().await?;
    let executors = client.list_executors().await?;
    let queues = client.list_queues().await?;
    let schedules = client.list_schedules().await?;
    let workflows = client.count_workflows(Filter::new(), GroupBy::Status).await?;
    let database = client.location().to_string();
    client.close().await;

    let live_executors = executors.iter().filter(|it| it.state == ExecutorState::Live).count();
    let lag = queues.iter().filter(|it| !it.paused).map(|it| it.lag).max().unwrap_or_default();
    let overview = Overview {
        database,
        live_executors,
        other_executors: executors.len() - live_executors,
        queues: queues.len(),
        paused_queues: queues.iter().filter(|it| it.paused).count(),
        waiting: queues.iter().map(|it| it.depth).sum(),
        delayed: queues.iter().map(|it| it.delayed).sum(),
        running: executors.iter().map(|it| it.running).sum(),
        longest_lag_seconds: lag.as_secs_f64(),
        schedules: schedules.len(),
        paused_schedules: schedules.iter().filter(|it| it.paused).count(),
        workflows,
    };
    let of =
        |all: usize, some: usize, word: &str| if some == 0 { all.to_string() } else { format!("{all}, {some} {word}") };
    let plain = |name: &'static str, text: String| (name, text, Tone::Plain);
    let none_live = if overview.live_executors == 0 { Tone::Bad } else { Tone::Good };
    let executors = format!("{} live, {} other", overview.live_executors, overview.other_executors);
    session.output.one(
        &overview,
        &[
            plain("database", overview.database.clone()),
            ("executors", executors, none_live),
            plain("running", overview.running.to_string()),
            plain("waiting", overview.waiting.to_string()),
            plain("delayed", overview.delayed.to_string()),
            plain("longest lag", if overview.waiting == 0 { "-".to_owned() } else { duration(lag) }),
            by_status(&overview.workflows),
            plain("queues", of(overview.queues, overview.paused_queues, "paused")),
            plain("schedules", of(overview.schedules, overview.paused_schedules, "paused")),
        ],
    )
}

/// How many workflows have which status. It is red if one waits for a person.
fn by_status(counts: &WorkflowCounts) -> (&'static str, String, Tone) {
    let parked = Status::Parked.as_str();
    let tone = if counts.groups.iter().any(|it| it.value.as_deref() == Some(parked)) { Tone::Bad } else { Tone::Plain };
    let more = if counts.capped { " and more" } else { "" };
    let text = if counts.groups.is_empty() { "-".to_owned() } else { format!("{}{more}", groups(counts)) };
    ("workflows", text, tone)
}
