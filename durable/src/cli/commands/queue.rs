//! `durable queue`

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::cli::suggest;
use crate::cli::text::{duration, or_none, time_or_none};
use crate::{Client, QueueInfo, QueueLimits};

/// Show and change queues
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum QueueCommand {
    /// List the queues with what waits on them
    Ls,
    /// Show one queue with its limits
    Show {
        /// Its name
        name: String,
    },
    /// Claim nothing more from a queue, in the whole fleet
    Pause {
        /// Its name
        name: String,
    },
    /// Claim from a paused queue again
    Resume {
        /// Its name
        name: String,
    },
    /// Change the limits of a queue, in the whole fleet; `none` takes a limit away
    Set(SetArguments),
}

/// The queue whose limits are changed.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetArguments {
    /// The name of the queue
    name: String,
    #[command(flatten)]
    limits: LimitArguments,
}

/// The limits to change. `none` takes a limit away.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(in crate::cli) struct LimitArguments {
    /// How many run at once in the whole fleet
    #[arg(long, value_name = "NUMBER", value_parser = number_or_none)]
    concurrency: Option<Limit<u32>>,
    /// How many run at once in one process
    #[arg(long, value_name = "NUMBER", value_parser = number_or_none)]
    worker_concurrency: Option<Limit<u32>>,
    /// How many are started in a time, as in 100/1m
    #[arg(long, value_name = "STARTS/TIME", value_parser = rate_or_none)]
    rate_limit: Option<Limit<(u32, Duration)>>,
    /// How many run at once for one partition key
    #[arg(long, value_name = "NUMBER", value_parser = number_or_none)]
    partition_concurrency: Option<Limit<u32>>,
    /// How many are started for one partition key in a time
    #[arg(long, value_name = "STARTS/TIME", value_parser = rate_or_none)]
    partition_rate_limit: Option<Limit<(u32, Duration)>>,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy)]
struct Limit<T>(Option<T>);

fn number_or_none(text: &str) -> Result<Limit<u32>, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => text.parse().map(|it| Limit(Some(it))).map_err(|_| "it is a number, or `none`".to_owned()),
    }
}

fn rate_or_none(text: &str) -> Result<Limit<(u32, Duration)>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let parsed = text.split_once('/').and_then(|(starts, period)| {
        // `1m`, and also `m`.
        let period =
            if period.starts_with(|it: char| it.is_ascii_digit()) { period.to_owned() } else { format!("1{period}") };
        Some((starts.parse().ok()?, humantime::parse_duration(&period).ok()?))
    });
    parsed
        .map(|it| Limit(Some(it)))
        .ok_or_else(|| "it is a number of starts and a time, as in 100/1m, or `none`".to_owned())
}

#[derive(Debug, Serialize)]
struct Changed<'a> {
    queue: &'a str,
    change: &'a str,
}

pub(in crate::cli) async fn run(session: &Session, command: &QueueCommand) -> Result<()> {
    let done = |name: &str, change: &str, sentence: &str| {
        session.output.done(&Changed { queue: name, change }, &format!("the queue {name:?} {sentence}"))
    };
    match command {
        QueueCommand::Ls => {
            let client = session.connect().await?;
            let queues = client.list_queues().await?;
            client.close().await;
            list(session, &queues)
        }
        QueueCommand::Show { name } => {
            let client = session.connect().await?;
            let queue = find(&client, name).await?;
            client.close().await;
            show(session, &queue)
        }
        QueueCommand::Pause { name } => {
            session.confirm_write(&format!("pause the queue {name:?}"))?;
            let client = session.connect().await?;
            client.pause_queue(name).await?;
            client.close().await;
            done(name, "paused", "is paused")
        }
        QueueCommand::Resume { name } => {
            session.confirm_write(&format!("resume the queue {name:?}"))?;
            let client = session.connect().await?;
            client.resume_queue(name).await?;
            client.close().await;
            done(name, "resumed", "is no longer paused")
        }
        QueueCommand::Set(arguments) => {
            session.confirm_write(&format!("change the limits of the queue {:?}", arguments.name))?;
            let client = session.connect().await?;
            let queue = find(&client, &arguments.name).await?;
            client.set_queue_limits(&arguments.name, changed(queue.limits, &arguments.limits)).await?;
            let queue = find(&client, &arguments.name).await?;
            client.close().await;
            show(session, &queue)
        }
    }
}

fn changed(mut limits: QueueLimits, arguments: &LimitArguments) -> QueueLimits {
    if let Some(Limit(most)) = arguments.concurrency {
        limits = limits.with_concurrency(most);
    }
    if let Some(Limit(most)) = arguments.worker_concurrency {
        limits = limits.with_worker_concurrency(most);
    }
    if let Some(Limit(rate)) = arguments.rate_limit {
        limits = limits.with_rate_limit(rate);
    }
    if let Some(Limit(most)) = arguments.partition_concurrency {
        limits = limits.with_partition_concurrency(most);
    }
    if let Some(Limit(rate)) = arguments.partition_rate_limit {
        limits = limits.with_partition_rate_limit(rate);
    }
    limits
}

async fn find(client: &Client, name: &str) -> Result<QueueInfo> {
    let queues = client.list_queues().await?;
    if let Some(found) = queues.iter().find(|it| it.name == name) {
        return Ok(found.clone());
    }
    let hint = suggest::hint("queues", name, queues.iter().map(|it| it.name.as_str()));
    Err(Failure::new(Exit::NotFound, format!("no queue has the name {name:?}")).hint(hint))
}

fn list(session: &Session, queues: &[QueueInfo]) -> Result<()> {
    let headings = ["NAME", "WAITING", "DELAYED", "RUNNING", "LAG", "LIMITS", "STATE"];
    session.output.rows(&headings, queues, |it| {
        let lag = if it.depth == 0 { "-".to_owned() } else { duration(it.lag) };
        let state = if it.paused { ("paused".to_owned(), Tone::Warning) } else { ("open".to_owned(), Tone::Good) };
        vec![
            (it.name.clone(), Tone::Plain),
            (it.depth.to_string(), Tone::Plain),
            (it.delayed.to_string(), Tone::Plain),
            (it.running.to_string(), if it.running > 0 { Tone::Active } else { Tone::Plain }),
            (lag, Tone::Plain),
            (limits_in_short(&it.limits), Tone::Plain),
            state,
        ]
    })
}

/// The limits in one line.
fn limits_in_short(limits: &QueueLimits) -> String {
    let rate = |(starts, period): (u32, Duration)| format!("{starts}/{}", duration(period));
    let parts = [
        limits.concurrency().map(|it| format!("{it}")),
        limits.worker_concurrency().map(|it| format!("{it} a process")),
        limits.rate_limit().map(rate),
        limits.partition_concurrency().map(|it| format!("{it} a key")),
        limits.partition_rate_limit().map(|it| format!("{} a key", rate(it))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

fn show(session: &Session, queue: &QueueInfo) -> Result<()> {
    let rate = |limit: Option<(u32, Duration)>| {
        or_none(limit.map(|(starts, period)| format!("{starts} in {}", duration(period))))
    };
    let limits = &queue.limits;
    let plain = |name: &'static str, text: String| (name, text, Tone::Plain);
    let source = if queue.changed { "changed at run time" } else { "as in the code" };
    let state = if queue.paused {
        ("state", "paused".to_owned(), Tone::Warning)
    } else {
        ("state", "open".to_owned(), Tone::Good)
    };
    session.output.one(
        queue,
        &[
            plain("queue", queue.name.clone()),
            state,
            plain("waiting", queue.depth.to_string()),
            plain("delayed", queue.delayed.to_string()),
            plain("running", queue.running.to_string()),
            plain("oldest", time_or_none(queue.oldest)),
            plain("lag", duration(queue.lag)),
            plain("limits", source.to_owned()),
            plain("  concurrency", or_none(limits.concurrency())),
            plain("  worker concurrency", or_none(limits.worker_concurrency())),
            plain("  rate limit", rate(limits.rate_limit())),
            plain("  partition key", if limits.partitioned() { "compulsory" } else { "optional" }.to_owned()),
            plain("  partition concurrency", or_none(limits.partition_concurrency())),
            plain("  partition rate limit", rate(limits.partition_rate_limit())),
        ],
    )
}
