//! `durable enqueue` and `durable start`

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::session::Session;
use crate::cli::suggest;
use crate::cli::text::own_queue;
use crate::cli::values;
use crate::cli::waiting::result_of;
use crate::{Client, EnqueueCall, ExecutorState};

/// Start a workflow by its name, on a queue
#[derive(Debug, Args)]
pub(in crate::cli) struct EnqueueArguments {
    #[command(flatten)]
    start: StartArguments,
    /// The queue
    #[arg(long)]
    queue: String,
    /// The priority: lower numbers go first
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    priority: Option<i32>,
    /// The partition key: workflows of one key run in order
    #[arg(long, value_name = "KEY")]
    partition: Option<String>,
    /// Refuse the start while another workflow with this deduplication id is on the queue
    #[arg(long, value_name = "ID")]
    deduplicate: Option<String>,
    /// Attach to the workflow with the same deduplication id instead
    #[arg(long, requires = "deduplicate")]
    or_existing: bool,
}

/// Start a workflow by its name; any process of the application takes it
#[derive(Debug, Args)]
pub(in crate::cli) struct StartArguments {
    /// The name of the workflow: that of its function, unless it has another one
    workflow: String,
    /// The arguments as a JSON object; @path reads a file, and - the standard input
    #[arg(long, short, value_name = "JSON", conflicts_with = "argument")]
    input: Option<String>,
    /// One argument: JSON, @path or -, and what is no JSON is a text; '"42"' and '"@x"' are texts, too
    #[arg(long = "arg", short, value_name = "NAME=VALUE")]
    argument: Vec<String>,
    /// The workflow's id, its idempotency key
    #[arg(long)]
    id: Option<String>,
    /// The object that the workflow is a method of
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Delay the start, as in 10m
    #[arg(long, value_name = "DURATION")]
    delay: Option<humantime::Duration>,
    /// Cancel it if it takes longer
    #[arg(long, value_name = "DURATION")]
    timeout: Option<humantime::Duration>,
    /// A label, by which it is found
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Wait for its end, and print its result
    #[arg(long)]
    wait: bool,
}

/// What was started, and what it returned if that was waited for.
#[derive(Debug, Serialize)]
struct Started<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
}

pub(in crate::cli) async fn enqueue(session: &Session, arguments: EnqueueArguments) -> Result<()> {
    let EnqueueArguments { start, queue, priority, partition, deduplicate, or_existing } = arguments;
    run(session, &start, Some(&queue), |mut call| {
        call = call.queue(&queue);
        if let Some(priority) = priority {
            call = call.priority(priority);
        }
        if let Some(key) = &partition {
            call = call.partition(key);
        }
        if let Some(id) = &deduplicate {
            call = call.deduplicate(id);
        }
        if or_existing { call.or_existing() } else { call }
    })
    .await
}

pub(in crate::cli) async fn start(session: &Session, arguments: StartArguments) -> Result<()> {
    run(session, &arguments, None, |call| call).await
}

async fn run(
    session: &Session,
    arguments: &StartArguments,
    queue: Option<&str>,
    place: impl Fn(EnqueueCall) -> EnqueueCall,
) -> Result<()> {
    let input = input_of(arguments)?;
    session.confirm_write(&format!("start the workflow `{}`", arguments.workflow))?;
    let client = session.connect().await?;
    let mut warning = match queue {
        // Before its work makes it a known one. What cannot be looked at is not warned of.
        Some(queue) => warning_of_queue(&client, queue).await.unwrap_or_default(),
        None => None,
    };
    let mut call = place(client.enqueue(&arguments.workflow, &input));
    if let Some(id) = &arguments.id {
        call = call.id(id);
    }
    if let Some(name) = &arguments.instance {
        call = call.instance(name);
    }
    if let Some(delay) = arguments.delay {
        call = call.delay(delay.into());
    }
    if let Some(timeout) = arguments.timeout {
        call = call.timeout(timeout.into());
    }
    for label in &arguments.labels {
        let (name, value) = values::pair("--label", label)?;
        call = call.label(name, value);
    }
    let handle = call.await?;
    if warning.is_none() {
        warning = warning_of_untaken(&client, &arguments.workflow, queue).await.unwrap_or_default();
    }
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
    let result = if arguments.wait { Some(result_of(session, &handle).await?) } else { None };
    let started = Started { id: handle.id(), result: result.as_ref() };
    let sentence = result.as_ref().map_or_else(|| handle.id().to_owned(), ToString::to_string);
    session.output.done(&started, &sentence)?;
    client.close().await;
    Ok(())
}

/// A warning for a queue that is neither declared nor has work: it may be misspelled.
async fn warning_of_queue(client: &Client, queue: &str) -> Result<Option<String>> {
    let queues = client.list_queues().await?;
    let names = || queues.iter().filter_map(|it| own_queue(&it.name));
    Ok(names().all(|it| it != queue).then(|| {
        let hint = suggest::hint("queues", queue, names());
        format!("no program has declared the queue {queue:?}, so the workflow waits until one does; {hint}")
    }))
}

/// A warning for a workflow that is started and that none of the living processes takes.
async fn warning_of_untaken(client: &Client, workflow: &str, queue: Option<&str>) -> Result<Option<String>> {
    let executors = client.list_executors().await?;
    if executors.iter().all(|it| it.state != ExecutorState::Live) {
        return Ok(None); // what the programs have is not known
    }
    let untaken = client.list_untaken_work().await?;
    Ok(untaken.iter().any(|it| it.name == workflow && it.queue.as_deref() == queue).then(|| {
        let place = queue.map_or_else(String::new, |it| format!(" and takes from the queue {it:?}"));
        format!("no living process has a workflow {workflow:?}{place}: it waits until one does")
    }))
}

/// The arguments of the workflow: an object, or single values.
fn input_of(arguments: &StartArguments) -> Result<Value> {
    let Some(text) = &arguments.input else {
        let read = arguments.argument.iter().map(|it| values::argument(it));
        return read.collect::<Result<Map<_, _>>>().map(Value::Object);
    };
    let input = values::json("the input", text)?;
    if input.is_object() {
        return Ok(input);
    }
    Err(Failure::new(Exit::Usage, "the input is no JSON object with a value for each argument, by name")
        .hint("write --input '{\"order\": 7}', or --arg order=7"))
}
