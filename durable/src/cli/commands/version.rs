//! `durable version`

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::output::{Tone, print_line};
use crate::cli::session::Session;
use crate::cli::suggest;
use crate::cli::text::{or_none, time, time_or_none, tone_of, workflows};
use crate::{Cursor, Filter, Status, VersionInfo};

/// Show the versions of the program, and drain old ones
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VersionCommand {
    /// List the versions with what is in flight of each
    Ls,
    /// Say what holds up the end of a version, and fail while something does; with --watch, wait for it
    Drain {
        /// The version
        version: String,
        /// How many of the workflows are shown
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Ask again every five seconds, until nothing of it is in flight
        #[arg(long, short)]
        watch: bool,
        /// Go on behind a page, with what it printed as its end
        #[arg(long, value_name = "CURSOR")]
        after: Option<Cursor>,
    },
}

/// How often a version that is watched is looked at.
const WATCH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

pub(in crate::cli) async fn run(session: &Session, command: &VersionCommand) -> Result<ExitCode> {
    match command {
        VersionCommand::Ls => list(session).await.map(|()| ExitCode::SUCCESS),
        VersionCommand::Drain { version, limit, watch, after } => drain(session, version, *limit, *after, *watch).await,
    }
}

async fn list(session: &Session) -> Result<()> {
    let client = session.connect().await?;
    let versions = client.versions().await?;
    client.close().await;
    let headings = ["VERSION", "EXECUTORS", "PENDING", "ENQUEUED", "DELAYED", "PARKED", "OLDEST"];
    session.output.rows(&headings, &versions, |it| {
        let number = |number: u64| (number.to_string(), Tone::Plain);
        let is_stranded = it.executors == 0 && it.in_flight() > 0;
        vec![
            (or_none(it.version.as_ref()), Tone::Plain),
            (it.executors.to_string(), if is_stranded { Tone::Warning } else { Tone::Plain }),
            number(it.pending),
            number(it.enqueued),
            number(it.delayed),
            (it.parked.to_string(), if it.parked > 0 { Tone::Bad } else { Tone::Plain }),
            (time_or_none(it.oldest), Tone::Plain),
        ]
    })
}

/// Lists what is in flight of a version, the oldest first.
async fn drain(session: &Session, version: &str, limit: u32, after: Option<Cursor>, watch: bool) -> Result<ExitCode> {
    let client = session.connect().await?;
    let mut filter = Filter::new().version(version).limit(limit);
    for status in [Status::Pending, Status::Enqueued, Status::Delayed] {
        filter = filter.status(status);
    }
    if let Some(cursor) = after {
        filter = filter.after(cursor);
    }
    let mut is_known = false;
    let drained = loop {
        let versions = client.versions().await?;
        let left = versions.iter().find(|it| it.version.as_deref() == Some(version));
        if left.is_none() && !is_known {
            return Err(unknown(version, &versions));
        }
        is_known = true;
        let (in_flight, parked) = left.map_or((0, 0), |it| (it.in_flight(), it.parked));
        let page = client.list_workflows(filter.clone()).await?;
        if !session.output.is_json() {
            let verb = if in_flight == 1 { "is" } else { "are" };
            let and = match parked {
                0 => String::new(),
                1 => ", and 1 is parked, which needs this version when it is resumed".to_owned(),
                many => format!(", and {many} are parked, which need this version when they are resumed"),
            };
            print_line(&format!("{} of the version {version} {verb} in flight{and}", workflows(in_flight)))?;
        }
        if session.output.is_json() || !page.is_empty() {
            session.output.rows(&["ID", "NAME", "STATUS", "CREATED", "EXECUTOR"], &page, |it| {
                vec![
                    (it.id.clone(), Tone::Plain),
                    (it.name.clone(), Tone::Plain),
                    (it.status.as_str().to_lowercase(), tone_of(it.status)),
                    (time(it.created_at), Tone::Plain),
                    (or_none(it.executor.as_ref()), Tone::Plain),
                ]
            })?;
        }
        if let Some(next) = page.next {
            eprintln!("there are more: --after {next}");
        }
        if !watch || in_flight == 0 {
            break in_flight == 0;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    };
    client.close().await;
    Ok(if drained { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}

/// The error for a version of which there is nothing.
fn unknown(version: &str, versions: &[VersionInfo]) -> Failure {
    let message = format!("no workflow in flight, no parked one and no living process has the version {version:?}");
    let known = versions.iter().filter_map(|it| it.version.as_deref());
    Failure::new(Exit::NotFound, message).hint(suggest::hint("versions", version, known))
}
