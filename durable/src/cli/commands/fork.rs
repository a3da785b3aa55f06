//! `durable restart` and `fork`

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::commands::show::not_found;
use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::selection::{Done, Selection};
use crate::cli::session::Session;
use crate::cli::suggest;
use crate::cli::values;
use crate::cli::waiting::result_of;
use crate::{Client, ForkCall, ForkFrom, Position};

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
    /// The version of the program that is to run it, where programs run only workflows of their own version
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Wait for the end of the new workflow, and print its result
    #[arg(long, conflicts_with_all = ["conditions", "dry_run"])]
    wait: bool,
    /// Replace all arguments, also those that were not recorded: a JSON object, @path or -
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    input: Option<String>,
    /// Replace one argument: JSON, @path or -, and what is no JSON is a text; '"42"' and '"@x"' are texts, too
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,
}

pub(in crate::cli) async fn restart(session: &Session, arguments: &RestartArguments) -> Result<()> {
    let copy = Copy::of(&arguments.selection, &arguments.copy, &[])?;
    if let Some(id) = arguments.selection.dry_run_of_one() {
        copy.check(session, id, ForkFrom::Position(1)).await?;
    }
    let change = async |client: &Client, id: &str| copy.make(session, client.restart_workflow(id)).await;
    arguments.selection.apply(session, "restart", "restarted", change, |_| None).await
}

pub(in crate::cli) async fn fork(session: &Session, arguments: &ForkArguments) -> Result<()> {
    let from = match arguments.from.as_str() {
        "failure" => ForkFrom::Failure,
        "last" => ForkFrom::LastStep,
        number => ForkFrom::Position(call_of_body(number)?),
    };
    let copy = Copy::of(&arguments.selection, &arguments.copy, &arguments.outputs)?;
    if let Some(id) = arguments.selection.dry_run_of_one() {
        copy.check(session, id, from).await?;
    }
    let change = async |client: &Client, id: &str| copy.make(session, client.fork_workflow(id, from)).await;
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

/// What is otherwise about a new workflow.
struct Copy {
    id: Option<String>,
    queue: Option<String>,
    version: Option<String>,
    wait: bool,
    input: Option<Value>,
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
            version: copy.version.clone(),
            wait: copy.wait,
            input: copy.input.as_ref().map(|it| values::json("the input", it)).transpose()?,
            arguments: copy.arguments.iter().map(|it| values::argument(it)).collect::<Result<_>>()?,
            outputs: outputs.iter().map(output).collect::<Result<_>>()?,
        })
    }

    /// Makes the new workflow, and gives its id.
    async fn make(&self, session: &Session, mut call: ForkCall) -> Result<Done> {
        if let Some(id) = &self.id {
            call = call.id(id);
        }
        if let Some(queue) = &self.queue {
            call = call.queue(queue);
        }
        if let Some(version) = &self.version {
            call = call.version(version);
        }
        if let Some(input) = &self.input {
            call = call.replace_arguments(input);
        }
        for (name, value) in &self.arguments {
            call = call.replace_argument(name, value);
        }
        for (position, value) in &self.outputs {
            call = call.replace_output(position.clone(), value);
        }
        let handle = call.await?;
        let returned = if self.wait { Some(result_of(session, &handle).await?) } else { None };
        Ok(Done { detail: handle.id().to_owned(), returned })
    }

    /// Looks whether the workflow has what is replaced, and the call that a fork begins at. Nothing is changed.
    async fn check(&self, session: &Session, id: &str, from: ForkFrom) -> Result<()> {
        let client = session.connect().await?;
        let Some(workflow) = client.workflow(id).await? else { return Err(not_found(&client, id).await) };
        let recorded = || workflow.input.as_deref().and_then(|it| serde_json::from_str(it).ok());
        let input: Option<Map<String, Value>> = match &self.input {
            Some(input) => input.as_object().cloned(),
            None => recorded(),
        };
        if let Some(input) = input
            && let Some((name, _)) = self.arguments.iter().find(|(name, _)| !input.contains_key(name))
        {
            let hint = suggest::hint("arguments", name, input.keys().map(String::as_str));
            let message = format!("the workflow {id:?} has no argument {name:?}");
            return Err(Failure::new(Exit::NotFound, message).hint(hint));
        }
        let positions = client.list_step_positions(id).await?;
        client.close().await;
        let lists = format!("`durable show {id}` lists the positions");
        if let ForkFrom::Position(from) = from {
            let calls = positions.iter().filter_map(|it| it.to_string().split('/').next()?.parse::<i32>().ok());
            let last = calls.max().unwrap_or(0);
            if from > last + 1 {
                let message =
                    format!("the last call of {id:?} that has a record is at position {last}, and --from is {from}");
                return Err(Failure::new(Exit::NotFound, message).hint(lists));
            }
        }
        match self.outputs.iter().find(|(position, _)| !positions.contains(position)) {
            Some((position, _)) => {
                let message = format!("the workflow {id:?} has no record at position {position}");
                Err(Failure::new(Exit::NotFound, message).hint(lists))
            }
            None => Ok(()),
        }
    }
}
