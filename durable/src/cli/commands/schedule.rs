//! `durable schedule`

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use crate::cli::exit::Result;
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::cli::text::{time, time_or_none};
use crate::cli::values::moment;

/// Show and change schedules
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ScheduleCommand {
    /// List the schedules with their next tick
    Ls,
    /// Start nothing more until it is resumed
    Pause {
        /// Its name
        name: String,
    },
    /// Start again, from the next tick on
    Resume {
        /// Its name
        name: String,
    },
    /// Start its workflow now
    Trigger {
        /// Its name
        name: String,
    },
    /// Start every tick of a range of time that was not started yet
    Backfill {
        /// Its name
        name: String,
        /// The first moment, as in 2026-01-31T00:00:00Z, 2026-01-31 or 2d (ago)
        #[arg(long, value_name = "TIME", value_parser = moment)]
        from: DateTime<Utc>,
        /// The moment before which the range ends
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: DateTime<Utc>,
    },
    /// Delete it; the next launch makes one that is in the code again
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Serialize)]
struct Changed<'a> {
    schedule: &'a str,
    change: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticks: Option<u64>,
}

impl<'a> Changed<'a> {
    fn new(schedule: &'a str, change: &'a str) -> Self {
        Self { schedule, change, workflow_id: None, ticks: None }
    }
}

pub(in crate::cli) async fn run(session: &Session, command: &ScheduleCommand) -> Result<()> {
    if let ScheduleCommand::Ls = command {
        return list(session).await;
    }
    let (name, what) = match command {
        ScheduleCommand::Ls => return Ok(()), // it is listed
        ScheduleCommand::Pause { name } => (name, "pause"),
        ScheduleCommand::Resume { name } => (name, "resume"),
        ScheduleCommand::Trigger { name } => (name, "trigger"),
        ScheduleCommand::Backfill { name, .. } => (name, "backfill"),
        ScheduleCommand::Delete { name } => (name, "delete"),
    };
    session.confirm_write(&format!("{what} the schedule {name:?}"))?;
    let client = session.connect().await?;
    let (changed, sentence) = match command {
        ScheduleCommand::Ls | ScheduleCommand::Pause { .. } => {
            client.pause_schedule(name).await?;
            (Changed::new(name, "paused"), format!("the schedule {name:?} is paused"))
        }
        ScheduleCommand::Resume { .. } => {
            client.resume_schedule(name).await?;
            (Changed::new(name, "resumed"), format!("the schedule {name:?} is no longer paused"))
        }
        ScheduleCommand::Delete { .. } => {
            client.delete_schedule(name).await?;
            (Changed::new(name, "deleted"), format!("the schedule {name:?} is deleted"))
        }
        ScheduleCommand::Trigger { .. } => {
            let id = client.trigger_schedule(name).await?;
            (Changed { workflow_id: Some(id.clone()), ..Changed::new(name, "triggered") }, id)
        }
        ScheduleCommand::Backfill { from, to, .. } => {
            let ticks = client.backfill_schedule(name, *from, *to).await?;
            let sentence = format!("{ticks} ticks of the schedule {name:?} have a workflow");
            (Changed { ticks: Some(ticks), ..Changed::new(name, "backfilled") }, sentence)
        }
    };
    client.close().await;
    session.output.done(&changed, &sentence)
}

async fn list(session: &Session) -> Result<()> {
    let client = session.connect().await?;
    let schedules = client.list_schedules().await?;
    client.close().await;
    let headings = ["NAME", "CRON", "ZONE", "WORKFLOW", "LAST", "NEXT", "STATE", "FROM"];
    session.output.rows(&headings, &schedules, |it| {
        let state = if it.paused { ("paused".to_owned(), Tone::Warning) } else { ("on".to_owned(), Tone::Good) };
        vec![
            (it.name.clone(), Tone::Plain),
            (it.cron.clone(), Tone::Plain),
            (it.timezone.clone(), Tone::Plain),
            (it.workflow.clone(), Tone::Plain),
            (time(it.last_tick), Tone::Plain),
            (time_or_none(it.next_tick), Tone::Plain),
            state,
            (if it.in_code { "code" } else { "run time" }.to_owned(), Tone::Plain),
        ]
    })
}
