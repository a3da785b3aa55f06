//! A program that hosts senders or receivers of messages. Tests start and kill several of them.
//!
//! ```text
//! message_worker receive FOLDER             hosts the receivers, and writes down what each of them has got
//! message_worker send FOLDER FIRST          sends the messages of four senders, the first of which has this number
//! ```
//!
//! `DURABLE_DATABASE_URL` names the database. Every message that is received is a line in a file of
//! this process in FOLDER, and so are the results of the receivers. The tests rely on the files and
//! not on the database.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use durable::prelude::*;
use serde::{Deserialize, Serialize};

const RECEIVERS: u32 = 100;
const SENDERS: u32 = 8;
const TOPICS: [&str; 3] = ["orders", "prices", "news"];
/// How many messages each sender sends: 10,000 in all.
const EACH: u32 = 1_250;
const LONG: Duration = Duration::from_hours(1);

static LEDGER: OnceLock<File> = OnceLock::new();

/// Adds a line to the ledger, in one write, so that lines are whole even when the process is killed.
fn note(line: &str) {
    let mut ledger = LEDGER.get().expect("it is opened before anything runs");
    ledger.write_all(format!("{line}\n").as_bytes()).expect("the ledger can be written");
}

/// The message with this number of any sender.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Letter {
    sender: u32,
    number: u32,
}

impl Letter {
    fn receiver(number: u32) -> String {
        format!("receiver-{}", number % RECEIVERS)
    }

    fn topic(number: u32) -> &'static str {
        TOPICS[(number / RECEIVERS) as usize % TOPICS.len()]
    }

    /// How many of one sender go to a receiver on a topic.
    fn expected(receiver: u32, topic: &str) -> usize {
        (0..EACH).filter(|it| it % RECEIVERS == receiver && Self::topic(*it) == topic).count()
    }
}

#[step]
async fn noted(receiver: u32, topic: &str, letter: Letter) {
    note(&format!("{receiver} {topic} {} {}", letter.sender, letter.number));
}

/// All messages on one topic, in the order received.
async fn receives_on(receiver: u32, topic: &str) -> Result<Vec<Letter>> {
    let mut all = Vec::new();
    for _ in 0..Letter::expected(receiver, topic) * SENDERS as usize {
        let letter: Letter = durable::recv(topic, LONG).await?.ok_or_else(|| Error::msg("an hour without mail"))?;
        noted(receiver, topic, letter).await;
        all.push(letter);
    }
    let more: Option<Letter> = durable::recv(topic, Duration::ZERO).await?;
    if more.is_some() { Err(Error::msg(format!("one too many on {topic}: {more:?}"))) } else { Ok(all) }
}

#[workflow]
async fn receives(number: u32) -> Result<Vec<Vec<Letter>>> {
    durable::map(TOPICS, TOPICS.len(), |topic| receives_on(number, topic)).stop_on_error().await
}

/// A sender that records each message that it has sent.
#[workflow]
async fn sends(sender: u32) -> Result<()> {
    for number in 0..EACH {
        durable::send(Letter::receiver(number), Letter::topic(number), &Letter { sender, number }).await?;
    }
    Ok(())
}

/// A sender without state: after a crash it sends everything again, with the same keys.
async fn sends_with_keys(sender: u32) -> Result<()> {
    for number in 0..EACH {
        let (to, topic, letter) = (Letter::receiver(number), Letter::topic(number), Letter { sender, number });
        durable::send(to, topic, &letter).idempotency_key(format!("{sender} {number}")).await?;
    }
    Ok(())
}

async fn receive(app: &Durable, folder: &std::path::Path) -> Result<()> {
    let calls: Vec<_> = (0..RECEIVERS)
        .map(|it| app.spawn_scoped(async move { receives(it).id(format!("receiver-{it}")).start().await }))
        .collect();
    let mut handles = Vec::new();
    for call in calls {
        handles.push(call.await??);
    }
    println!("READY");
    let mut results = Vec::new();
    for handle in handles {
        results.push(handle.await?);
    }
    std::fs::write(folder.join("results.json"), serde_json::to_vec(&results)?)?;
    Ok(())
}

async fn send(app: &Durable, first: u32) -> Result<()> {
    let mut senders = Vec::new();
    for sender in first..first + 4 {
        senders.push(app.spawn_scoped(async move {
            if sender.is_multiple_of(2) {
                sends(sender).id(format!("sender-{sender}")).await
            } else {
                sends_with_keys(sender).await
            }
        }));
    }
    for sender in senders {
        sender.await??;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let folder = PathBuf::from(arguments.next().unwrap_or_default());

    let ledger = folder.join(format!("ledger-{}", std::process::id()));
    let _ = LEDGER.set(File::options().append(true).create(true).open(ledger)?);
    let app = Durable::builder("message_worker").lease(LONG).launch().await?;
    match mode.as_str() {
        "receive" => receive(&app, &folder).await?,
        _ => send(&app, arguments.next().unwrap_or_default().parse()?).await?,
    }
    println!("{mode} DONE");
    app.shutdown().await;
    Ok(())
}
