//! `durable export` and `durable import`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::Serialize;

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::filter::{filter_of, ids_of};
use crate::cli::output::print_line;
use crate::cli::session::Session;
use crate::cli::text::workflows;
use crate::{ErrorKind, History, Status};

/// Write everything that the database has of workflows as JSON, with their payloads
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("selected").required(true).args(["id", "conditions"])))]
pub(in crate::cli) struct ExportArguments {
    /// The id of the workflow
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Write it to this file, instead of the standard output
    #[arg(long, value_name = "PATH", conflicts_with = "conditions")]
    to: Option<PathBuf>,
    /// All that match, each in a file of its own: status=error,name=checkout
    #[arg(long = "where", value_name = "KEY=VALUE,..", value_delimiter = ',', requires = "dir")]
    conditions: Vec<String>,
    /// Write the files into this folder, which is made if it is missing
    #[arg(long, value_name = "FOLDER", requires = "conditions")]
    dir: Option<PathBuf>,
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

/// What was exported.
#[derive(Debug, Serialize)]
struct Exported {
    files: BTreeMap<String, PathBuf>,
}

pub(in crate::cli) async fn export(session: &Session, arguments: &ExportArguments) -> Result<()> {
    if let Some(folder) = &arguments.dir {
        return export_all(session, &arguments.conditions, folder).await;
    }
    let client = session.connect().await?;
    let id = arguments.id.as_deref().unwrap_or_default(); // it is there without conditions
    let history = client.export_workflow(id).await?;
    client.close().await;
    match &arguments.to {
        None => print_line(&to_text(&history)?),
        Some(path) => write(path, &to_text(&history)?),
    }
}

/// Writes each workflow that matches into a file of the folder.
async fn export_all(session: &Session, conditions: &[String], folder: &Path) -> Result<()> {
    let filter = filter_of(conditions)?;
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot make the folder {}: {error}", folder.display())))?;
    let client = session.connect().await?;
    let mut files = BTreeMap::new();
    for id in ids_of(&client, filter).await? {
        let path = folder.join(file_name(&id));
        match client.export_workflow(&id).await {
            Ok(history) => write(&path, &to_text(&history)?)?,
            Err(error) if error.kind() == ErrorKind::NotFound => continue, // it was deleted meanwhile
            Err(error) => return Err(error.into()),
        }
        files.insert(id, path);
    }
    client.close().await;
    let sentence = format!("{} exported to {}", workflows(files.len() as u64), folder.display());
    session.output.done(&Exported { files }, &sentence)
}

/// The name of the file for a workflow. What is no letter, digit, dot, dash or underscore in its id is written as %2F.
fn file_name(id: &str) -> String {
    let written = |(at, byte): (usize, u8)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        b'.' if at > 0 => ".".to_owned(), // no hidden files, and no `..`
        _ => format!("%{byte:02X}"),
    };
    let name = id.bytes().enumerate().map(written).collect::<Vec<_>>().concat();
    format!("{name}.json")
}

fn to_text(history: &History) -> Result<String> {
    serde_json::to_string_pretty(history)
        .map_err(|error| Failure::new(Exit::Failed, format!("the history cannot be written as JSON: {error}")))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display())))
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
