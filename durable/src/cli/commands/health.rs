//! `durable health`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::ExecutorState;
use crate::cli::exit::{Exit, Result};
use crate::cli::session::Session;
use crate::cli::text::duration;

/// Check that workflows are being run, for probes: the exit code says it
///
/// It is healthy if the database answers, its schema is of this release, and processes with a heartbeat are there.
#[derive(Debug, Args)]
pub(in crate::cli) struct HealthArguments {
    /// How many live processes there have to be
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    executors: usize,
    /// The longest time that a workflow may have waited on a queue that is not paused
    #[arg(long, value_name = "DURATION")]
    max_lag: Option<humantime::Duration>,
    /// Only look at this queue
    #[arg(long, value_name = "NAME", requires = "max_lag")]
    queue: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Health {
    healthy: bool,
    live_executors: usize,
    problems: Vec<String>,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &HealthArguments) -> Result<ExitCode> {
    let client = session.connect().await?;
    let executors = client.list_executors().await?;
    let live_executors = executors.iter().filter(|it| it.state == ExecutorState::Live).count();
    let mut problems = Vec::new();
    if live_executors < arguments.executors {
        problems.push(format!("{live_executors} live executors, and {} are to be there", arguments.executors));
    }
    if let Some(most) = arguments.max_lag {
        let looked_at = |name: &String| arguments.queue.is_empty() || arguments.queue.contains(name);
        for queue in client.list_queues().await?.iter().filter(|it| !it.paused && looked_at(&it.name)) {
            if queue.lag > *most {
                let lag = duration(queue.lag);
                problems.push(format!("a workflow on the queue {:?} has waited for {lag}", queue.name));
            }
        }
    }
    client.close().await;
    let health = Health { healthy: problems.is_empty(), live_executors, problems };
    let sentence = if health.healthy { "healthy".to_owned() } else { health.problems.join("\n") };
    session.output.done(&health, &sentence)?;
    Ok(if health.healthy { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}
