//! `durable messages`, `events` and `stream`: what a workflow receives and publishes.

use clap::Args;

use crate::cli::commands::show::not_found;
use crate::cli::exit::Result;
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::cli::text::{or_none, shortened, time, time_or_none};
use crate::{Client, Filter};

/// How many characters of a value are shown.
const VALUE_WIDTH: usize = 200;

/// List the messages to a workflow, the oldest first
#[derive(Debug, Args)]
pub(in crate::cli) struct MessagesArguments {
    /// The id of the workflow
    id: String,
}

/// List the events of a workflow with their present values
#[derive(Debug, Args)]
pub(in crate::cli) struct EventsArguments {
    /// The id of the workflow
    id: String,
}

/// List what a workflow has written to its streams, the oldest first
#[derive(Debug, Args)]
pub(in crate::cli) struct StreamArguments {
    /// The id of the workflow
    id: String,
    /// Only the stream with this name
    name: Option<String>,
    /// At most this many items
    #[arg(long, short, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
    /// Leave out so many items at the beginning
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    offset: u32,
}

pub(in crate::cli) async fn messages(session: &Session, arguments: &MessagesArguments) -> Result<()> {
    let client = session.connect().await?;
    let found = client.list_messages(&arguments.id).await?;
    if !check_rows(&client, &arguments.id, found.len(), "no message was sent to it").await? && !session.output.is_json()
    {
        return Ok(());
    }
    session.output.rows(&["TOPIC", "MESSAGE", "KEY", "SENT", "RECEIVED"], &found, |it| {
        let received = if it.received_at.is_none() { Tone::Warning } else { Tone::Plain };
        vec![
            (it.topic.clone(), Tone::Plain),
            (shortened(&it.payload, VALUE_WIDTH), Tone::Plain),
            (or_none(it.idempotency_key.as_ref()), Tone::Plain),
            (time(it.sent_at), Tone::Plain),
            (time_or_none(it.received_at), received),
        ]
    })
}

pub(in crate::cli) async fn events(session: &Session, arguments: &EventsArguments) -> Result<()> {
    let client = session.connect().await?;
    let found = client.list_events(&arguments.id).await?;
    if !check_rows(&client, &arguments.id, found.len(), "it has set no event").await? && !session.output.is_json() {
        return Ok(());
    }
    session.output.rows(&["NAME", "VALUE", "SET AT", "POSITION"], &found, |it| {
        vec![
            (it.name.clone(), Tone::Plain),
            (shortened(&it.value, VALUE_WIDTH), Tone::Plain),
            (time(it.set_at), Tone::Plain),
            (it.position.to_string(), Tone::Plain),
        ]
    })
}

pub(in crate::cli) async fn stream(session: &Session, arguments: &StreamArguments) -> Result<()> {
    let StreamArguments { id, name, limit, offset } = arguments;
    let client = session.connect().await?;
    let mut found = client.list_stream_items(id, name.as_deref(), limit.saturating_add(1), *offset).await?;
    let has_more = found.len() > *limit as usize;
    found.truncate(*limit as usize);
    if !check_rows(&client, id, found.len(), "there are no items").await? && !session.output.is_json() {
        return Ok(());
    }
    session.output.rows(&["STREAM", "VALUE", "WRITTEN", "POSITION"], &found, |it| {
        let is_end = it.value.is_none();
        let value = it.value.as_deref().map_or_else(|| "the end".to_owned(), |it| shortened(it, VALUE_WIDTH));
        vec![
            (it.stream.clone(), Tone::Plain),
            (value, if is_end { Tone::Good } else { Tone::Plain }),
            (time(it.written_at), Tone::Plain),
            (it.position.to_string(), Tone::Plain),
        ]
    })?;
    if has_more {
        eprintln!("there are more: --offset {}", offset.saturating_add(*limit));
    }
    Ok(())
}

/// Whether there are rows. Without any, it says so, or that there is no such workflow. The client is closed.
async fn check_rows(client: &Client, id: &str, rows: usize, none: &str) -> Result<bool> {
    if rows == 0 && client.list_workflows(Filter::new().id(id).limit(1)).await?.is_empty() {
        return Err(not_found(client, id).await);
    }
    client.close().await;
    if rows == 0 {
        eprintln!("{none}");
    }
    Ok(rows > 0)
}
