//! `durable export` and `durable import`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::output::print_line;
use crate::cli::session::Session;
use crate::{History, Status};

/// Write everything that the database has of a workflow as JSON, with its payloads
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArguments {
    /// The id of the workflow
    id: String,
    /// Write it to this file, instead of the standard output
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
}

/// Write an exported workflow into the database; one that had not ended is parked
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArguments {
    /// The file, or - for the standard input
    path: String,
}

#[derive(Debug, Serialize)]
struct Imported<'a> {
    id: &'a str,
    status: Status,
}

pub(in crate::cli) async fn export(session: &Session, arguments: &ExportArguments) -> Result<()> {
    let client = session.connect().await?;
    let history = client.export_workflow(&arguments.id).await?;
    client.close().await;
    let text = serde_json::to_string_pretty(&history)
        .map_err(|error| Failure::new(Exit::Failed, format!("the history cannot be written as JSON: {error}")))?;
    match &arguments.to {
        None => print_line(&text),
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))),
    }
}

pub(in crate::cli) async fn import(session: &Session, arguments: &ImportArguments) -> Result<()> {
    let text = match arguments.path.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()),
        path => std::fs::read_to_string(path),
    };
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("the history {} cannot be read: {error}", arguments.path))
    };
    let history: History =
        serde_json::from_str(&text.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
    let id = history.workflow.id.as_str();
    session.confirm_write(&format!("import {id}"))?;
    let client = session.connect().await?;
    let status = client.import_workflow(&history).await?;
    client.close().await;
    let word = status.as_str().to_lowercase();
    session.output.done(&Imported { id, status }, &format!("{id}: imported, {word}"))
}
