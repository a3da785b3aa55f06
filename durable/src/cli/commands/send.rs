//! `durable send`

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Result;
use crate::cli::session::Session;
use crate::cli::values;

/// Send a message to a workflow
#[derive(Debug, Args)]
pub(in crate::cli) struct SendArguments {
    /// The id of the workflow
    id: String,
    /// The topic
    topic: String,
    /// The message as JSON; @path reads a file, and - the standard input
    #[arg(value_name = "JSON")]
    message: String,
    /// With an idempotency key it is received once, however often it is sent
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

#[derive(Debug, Serialize)]
struct Sent<'a> {
    id: &'a str,
    topic: &'a str,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &SendArguments) -> Result<()> {
    let SendArguments { id, topic, message, key } = arguments;
    let message = values::json("the message", message)?;
    session.confirm_write(&format!("send a message to {id}"))?;
    let client = session.connect().await?;
    let call = client.send(id, topic, &message);
    match key {
        Some(key) => call.idempotency_key(key).await?,
        None => call.await?,
    }
    client.close().await;
    session.output.done(&Sent { id, topic }, &format!("sent to {id} on {topic:?}"))
}
