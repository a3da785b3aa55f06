//! `durable executor`

use chrono::Utc;
use clap::Subcommand;

use crate::ExecutorState;
use crate::cli::exit::Result;
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::cli::text::{duration, or_none};

/// Show the processes that run workflows
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ExecutorCommand {
    /// List the launches, the oldest first
    Ls,
}

pub(in crate::cli) async fn run(session: &Session, command: &ExecutorCommand) -> Result<()> {
    let ExecutorCommand::Ls = command;
    let client = session.connect().await?;
    let executors = client.list_executors().await?;
    let headings = ["NAME", "STATE", "RUNNING", "UP", "HOST", "VERSION"];
    session.output.rows(&headings, &executors, |it| {
        let tone = match it.state {
            ExecutorState::Live => Tone::Good,
            ExecutorState::Leaving => Tone::Warning,
            _ => Tone::Bad,
        };
        let up = (Utc::now() - it.started_at).to_std().unwrap_or_default();
        vec![
            (it.name.clone(), Tone::Plain),
            (it.state.as_str().to_owned(), tone),
            (it.running.to_string(), Tone::Plain),
            (duration(up), Tone::Plain),
            (it.host.clone(), Tone::Plain),
            (or_none(it.version.as_ref()), Tone::Plain),
        ]
    })?;
    client.close().await;
    Ok(())
}
