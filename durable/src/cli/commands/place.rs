//! `durable move`, `priority` and `delay`: the place of workflows that wait on a queue.

use clap::Args;

use crate::Client;
use crate::cli::exit::Result;
use crate::cli::selection::Selection;
use crate::cli::session::Session;

/// Move workflows that wait to another queue
#[derive(Debug, Args)]
pub(in crate::cli) struct MoveArguments {
    #[command(flatten)]
    selection: Selection,
    /// The queue
    #[arg(long, value_name = "NAME")]
    queue: String,
}

/// Change the priority of workflows that wait on a queue
#[derive(Debug, Args)]
pub(in crate::cli) struct PriorityArguments {
    #[command(flatten)]
    selection: Selection,
    /// The priority: lower numbers go first
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    to: i32,
}

/// Delay workflows that wait on a queue, or let delayed ones go at once
#[derive(Debug, Args)]
pub(in crate::cli) struct DelayArguments {
    #[command(flatten)]
    selection: Selection,
    /// How long from now, as in 10m; 0s is at once
    #[arg(long = "for", value_name = "DURATION")]
    length: humantime::Duration,
}

pub(in crate::cli) async fn to_queue(session: &Session, arguments: &MoveArguments) -> Result<()> {
    let queue = &arguments.queue;
    let change = async |client: &Client, id: &str| Ok(client.move_to_queue(id, queue).await?);
    arguments.selection.apply(session, "move", "moved", change, |all| Some(all.move_to_queue(queue))).await
}

pub(in crate::cli) async fn priority(session: &Session, arguments: &PriorityArguments) -> Result<()> {
    let to = arguments.to;
    let done = format!("given the priority {to}");
    let change = async |client: &Client, id: &str| Ok(client.set_priority(id, to).await?);
    let verb = format!("give the priority {to} to");
    arguments.selection.apply(session, &verb, &done, change, |all| Some(all.set_priority(to))).await
}

pub(in crate::cli) async fn delay(session: &Session, arguments: &DelayArguments) -> Result<()> {
    let length = arguments.length.into();
    let change = async |client: &Client, id: &str| Ok(client.set_delay(id, length).await?);
    arguments.selection.apply(session, "delay", "delayed", change, |all| Some(all.set_delay(length))).await
}
