//! `durable resume`, `delete` and `label`

use clap::Args;

use crate::cli::commands::show::not_found;
use crate::cli::exit::Result;
use crate::cli::selection::{Done, Selection};
use crate::cli::session::Session;
use crate::cli::values;
use crate::cli::waiting::result_of;
use crate::{Client, Status};

/// Let workflows go on from where they stand: parked, cancelled or failed ones
///
/// What is recorded is not run again, except for the failed operations that led to the end.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArguments {
    #[command(flatten)]
    selection: Selection,
    /// Wait for its end, and print its result
    #[arg(long, conflicts_with_all = ["conditions", "dry_run"])]
    wait: bool,
}

/// Delete workflows that have ended or are parked, with all that they have started
#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteArguments {
    #[command(flatten)]
    selection: Selection,
}

/// Add labels to workflows; an empty value takes a label away
#[derive(Debug, Args)]
pub(in crate::cli) struct LabelArguments {
    #[command(flatten)]
    selection: Selection,
    /// The label
    #[arg(long = "set", value_name = "NAME=VALUE", required = true)]
    labels: Vec<String>,
}

pub(in crate::cli) async fn resume(session: &Session, arguments: &ResumeArguments) -> Result<()> {
    let change = async |client: &Client, id: &str| {
        let before = client.workflow(id).await?.map(|it| it.status);
        client.resume_workflow(id).await?;
        let detail = match before {
            Some(status @ (Status::Enqueued | Status::Delayed | Status::Pending)) => {
                format!("it is {} already, and nothing was changed", status.as_str().to_lowercase())
            }
            _ => String::new(),
        };
        let returned =
            if arguments.wait { Some(result_of(session, &client.retrieve_workflow(id).await?).await?) } else { None };
        Ok(Done { detail, returned })
    };
    arguments.selection.apply(session, "resume", "resumed", change, |all| Some(all.resume())).await
}

pub(in crate::cli) async fn delete(session: &Session, arguments: &DeleteArguments) -> Result<()> {
    let change = async |client: &Client, id: &str| match client.delete_workflow(id).await? {
        0 => Err(not_found(client, id).await),
        1 => Ok("deleted".to_owned()),
        many => Ok(format!("deleted, with {} that it had started", many - 1)),
    };
    arguments.selection.apply(session, "delete", "deleted", change, |all| Some(all.delete())).await
}

pub(in crate::cli) async fn label(session: &Session, arguments: &LabelArguments) -> Result<()> {
    let labels = arguments.labels.iter().map(|it| values::pair("--set", it)).collect::<Result<Vec<_>>>()?;
    let change = async |client: &Client, id: &str| Ok(client.set_labels(id, labels.clone()).await?);
    arguments.selection.apply(session, "label", "labeled", change, |all| Some(all.set_labels(labels.clone()))).await
}
