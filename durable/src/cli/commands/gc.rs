//! `durable gc`

use clap::{Args, value_parser};

use crate::Retention;
use crate::cli::exit::Result;
use crate::cli::session::Session;

/// Delete workflows that ended long ago, with all that they have started
///
/// What runs, waits or is parked is kept, and so is the family of it.
#[derive(Debug, Args)]
pub(in crate::cli) struct GcArguments {
    /// Keep workflows for so long after their end, as in 30d
    #[arg(long, value_name = "TIME")]
    keep: humantime::Duration,
    /// Keep the last so many of each name in any case
    #[arg(long, value_name = "NUMBER")]
    keep_last: Option<u32>,
    /// Delete at most so many workflows in a second
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &GcArguments) -> Result<()> {
    if !arguments.dry_run {
        session.confirm_always(&format!("delete the workflows that ended more than {} ago", arguments.keep))?;
    }
    let mut policy = Retention::new().keep(arguments.keep.into());
    if let Some(last) = arguments.keep_last {
        policy = policy.keep_last(last);
    }
    if let Some(per_second) = arguments.per_second {
        policy = policy.per_second(per_second);
    }
    let client = session.connect().await?;
    let call = client.run_retention().policy(policy);
    let report = if arguments.dry_run { call.dry_run() } else { call }.await?;
    client.close().await;
    let lines =
        report.groups.iter().map(|it| format!("{} {} {}\n", it.count, it.name, it.status.as_str().to_lowercase()));
    let verb = if report.dry_run { "would be deleted" } else { "deleted" };
    session.output.done(&report, &format!("{}{} workflows {verb}", lines.collect::<String>(), report.total))
}
