//! `durable verify`

use std::process::ExitCode;

use clap::{ArgGroup, Args};

use crate::cli::commands::show::not_found;
use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::filter::filter_of;
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::{Builder, ErrorKind, ReplayOutcome, ReplayReport};

/// Verify that the code of this program makes the operations that are recorded
///
/// Nothing is run but the bodies of the workflows, against their records, and nothing is written. It needs the functions,
/// so it is for programs that have this command line as their own, by `durable::cli::run`. It fails unless all match.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("selected").required(true).args(["ids", "conditions"])))]
pub(in crate::cli) struct VerifyArguments {
    /// The ids of the workflows
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that match: status=parked,name=checkout
    #[arg(long = "where", value_name = "KEY=VALUE,..", value_delimiter = ',')]
    conditions: Vec<String>,
}

pub(in crate::cli) async fn run(
    session: &Session,
    arguments: VerifyArguments,
    application: Option<Builder>,
) -> Result<ExitCode> {
    let Some(application) = application else {
        return Err(Failure::new(Exit::Refused, "this command line has no functions of workflows to verify").hint(
            "run it as a part of your program: `durable::cli::run(builder, arguments)` in its `main`, then `my-program durable verify ID`",
        ));
    };
    let client = session.database().functions_of(application).connect().await?;
    let mut reports = Vec::new();
    if !arguments.conditions.is_empty() {
        reports = client.verify_replays(filter_of(&arguments.conditions)?).await?;
        if reports.is_empty() {
            eprintln!("no workflow matches, so nothing was verified");
        }
    }
    for id in arguments.ids {
        match client.verify_replay(&id).await {
            Ok(report) => reports.push(report),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(not_found(&client, &id).await),
            Err(error) => return Err(error.into()),
        }
    }
    client.close().await;
    session.output.rows(&["ID", "NAME", "OUTCOME", "FINDING"], &reports, |it| {
        let (word, tone) = outcome(&it.outcome);
        vec![
            (it.id.clone(), Tone::Plain),
            (it.workflow.clone(), Tone::Plain),
            (word.to_owned(), tone),
            (it.to_string(), Tone::Plain),
        ]
    })?;
    let all_match = reports.iter().all(ReplayReport::is_match);
    Ok(if all_match { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed as u8) })
}

/// The word for an outcome, as in its JSON.
fn outcome(outcome: &ReplayOutcome) -> (&'static str, Tone) {
    match outcome {
        ReplayOutcome::Match => ("match", Tone::Good),
        ReplayOutcome::Mismatch { .. } => ("mismatch", Tone::Bad),
        ReplayOutcome::Missing { .. } => ("missing", Tone::Bad),
        ReplayOutcome::Extra { .. } => ("extra", Tone::Bad),
        _ => ("unknown", Tone::Warning),
    }
}
