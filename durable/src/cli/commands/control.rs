//! `durable resume`, `restart`, `fork`, `delete` and `label`

use clap::Args;
use serde_json::Value;

use crate::cli::commands::show::not_found;
use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::selection::Selection;
use crate::cli::session::Session;
use crate::cli::values;
use crate::{Client, ForkCall, ForkFrom, Position, Status};

/// Let workflows go on from where they stand: parked, cancelled or failed ones
///
/// What is recorded is not run again, except for the failed operations that led to the end.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArguments {
    #[command(flatten)]
    selection: Selection,
}

/// Start workflows again from the beginning, as new ones with the same arguments
#[derive(Debug, Args)]
pub(in crate::cli) struct RestartArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    copy: CopyArguments,
}

/// Make new workflows that keep a part of the records
#[derive(Debug, Args)]
pub(in crate::cli) struct ForkArguments {
    #[command(flatten)]
    selection: Selection,
    /// The position that is run again first, as in 3; `last`; or `failure`, which keeps all records if nothing failed
    #[arg(long, value_name = "POSITION", default_value = "failure")]
    from: String,
    /// Replace the recorded result of a call that is kept, with JSON, @path or -
    #[arg(long = "output-of", value_name = "POSITION=JSON")]
    outputs: Vec<String>,
    #[command(flatten)]
    copy: CopyArguments,
}

/// What is otherwise about the new workflow.
#[derive(Debug, Args)]
struct CopyArguments {
    /// The id of the new workflow, for one workflow
    #[arg(long = "new-id", value_name = "ID", conflicts_with = "conditions")]
    new_id: Option<String>,
    /// Put the new workflow on this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Replace one argument: JSON, @path or -, and what is no JSON is a text; '"42"' and '"@x"' are texts, too
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,
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
        Ok(match before {
            Some(status @ (Status::Enqueued | Status::Delayed | Status::Pending)) => {
                format!("it is {} already, and nothing was changed", status.as_str().to_lowercase())
            }
            _ => String::new(),
        })
    };
    arguments.selection.apply(session, "resume", "resumed", change, |all| Some(all.resume())).await
}

pub(in crate::cli) async fn restart(session: &Session, arguments: &RestartArguments) -> Result<()> {
    let copy = Copy::of(&arguments.selection, &arguments.copy, &[])?;
    let change = async |client: &Client, id: &str| copy.make(client.restart_workflow(id)).await;
    arguments.selection.apply(session, "restart", "restarted", change, |_| None).await
}

pub(in crate::cli) async fn fork(session: &Session, arguments: &ForkArguments) -> Result<()> {
    let from = match arguments.from.as_str() {
        "failure" => ForkFrom::Failure,
        "last" => ForkFrom::LastStep,
        number => ForkFrom::Position(call_of_body(number)?),
    };
    let copy = Copy::of(&arguments.selection, &arguments.copy, &arguments.outputs)?;
    let change = async |client: &Client, id: &str| copy.make(client.fork_workflow(id, from)).await;
    arguments.selection.apply(session, "fork", "forked", change, |_| None).await
}

/// The number of a call of the body.
fn call_of_body(text: &str) -> Result<i32> {
    match text.parse() {
        Ok(number @ 1..) => return Ok(number),
        Ok(_) => {
            let failure = Failure::new(Exit::Usage, format!("--from {text} is before the first call"));
            return Err(failure.hint("the first call is 1"));
        }
        Err(_) => {}
    }
    let failure = Failure::new(Exit::Usage, format!("--from {text:?} is no number of a call, `failure` or `last`"));
    Err(match (text.parse::<Position>(), text.split_once('/')) {
        (Ok(_), Some((call, _))) => failure.hint(format!(
            "{text} is in a branch, and a fork begins at a call of the body: --from {call} is the one that made the branch"
        )),
        _ => failure.hint("`durable show ID` lists the positions; those without / are calls of the body"),
    })
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
    let change =
        async |client: &Client, id: &str| Ok(client.set_labels(id, labels.clone()).await.map(|()| String::new())?);
    arguments.selection.apply(session, "label", "labeled", change, |all| Some(all.set_labels(labels.clone()))).await
}

/// What is otherwise about a new workflow.
struct Copy {
    id: Option<String>,
    queue: Option<String>,
    arguments: Vec<(String, Value)>,
    outputs: Vec<(Position, Value)>,
}

impl Copy {
    fn of(selection: &Selection, copy: &CopyArguments, outputs: &[String]) -> Result<Self> {
        if selection.ids().len() > 1 && copy.new_id.is_some() {
            let message = format!("--new-id is for one workflow, and {} ids are given", selection.ids().len());
            return Err(Failure::new(Exit::Usage, message));
        }
        let output = |text: &String| {
            let (position, value) = values::pair("--output-of", text)?;
            let position: Position = position.parse().map_err(|error: crate::InvalidPosition| {
                Failure::new(Exit::Usage, format!("--output-of {text}: {error}"))
            })?;
            let value = values::json(&format!("the result for position {position}"), &value)?;
            Ok((position, value))
        };
        Ok(Self {
            id: copy.new_id.clone(),
            queue: copy.queue.clone(),
            arguments: copy.arguments.iter().map(|it| values::argument(it)).collect::<Result<_>>()?,
            outputs: outputs.iter().map(output).collect::<Result<_>>()?,
        })
    }

    /// Makes the new workflow, and gives its id.
    async fn make(&self, mut call: ForkCall) -> Result<String> {
        if let Some(id) = &self.id {
            call = call.id(id);
        }
        if let Some(queue) = &self.queue {
            call = call.queue(queue);
        }
        for (name, value) in &self.arguments {
            call = call.replace_argument(name, value);
        }
        for (position, value) in &self.outputs {
            call = call.replace_output(position.clone(), value);
        }
        Ok(call.await?.id().to_owned())
    }
}
