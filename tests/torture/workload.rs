//! What the processes do: steps, transactions, messages, events, streams, children, queues with limits, sleeps, schedules,
//! deadlines, cancellations.

use durable::prelude::*;
use durable::sqlx::{self, PgConnection, SqliteConnection};

use crate::ledger;

/// At most three of these at once in the whole fleet.
pub(crate) const LIMIT: u32 = 3;
/// How many messages an order receives.
pub(crate) const MESSAGES: u32 = 4;
/// How many transfers a batch makes, and how many messages it receives.
pub(crate) const BATCH: u32 = 10;
/// How many values of an event a workflow publishes, and how many items of a stream.
pub(crate) const PUBLISHED: u32 = 5;
/// How long a patient workflow sleeps.
pub(crate) const SLEEP: Duration = Duration::from_millis(300);
/// How many accounts there are.
pub(crate) const ACCOUNTS: i64 = 20;

#[queue]
pub(crate) static LIMITED: Queue = Queue::new("limited").concurrency(LIMIT);
/// Workflows of one key in order.
#[queue]
pub(crate) static ORDERED: Queue = Queue::new("ordered").worker_concurrency(10);

/// What state the workflows need.
pub(crate) struct Kind {
    pub(crate) is_postgres: bool,
}

/// A side effect: a line at its begin and one at its end. What it returns names the line, so that the record can be
/// compared.
#[step]
pub(crate) async fn effect(workflow: &str, name: &str, millis: u64) -> Result<String> {
    let run = format!("{name}/{}", uuid::Uuid::new_v4().simple());
    ledger::note("begin", workflow, &run);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    ledger::note("end", workflow, &run);
    Ok(run)
}

macro_rules! transfer {
    ($function:ident, $connection:ty) => {
        #[transaction(name = "transfer")]
        async fn $function(tx: &mut $connection, id: &str, number: i64) -> Result<()> {
            // In the order of the accounts, so that transfers that cross do not wait for each other.
            let mut changes =
                [(number * 7 % ACCOUNTS, -1 - number % 10), ((number * 13 + 1) % ACCOUNTS, 1 + number % 10)];
            changes.sort_unstable();
            for (account, change) in changes {
                let update = "update accounts set cents = cents + $1 where id = $2";
                sqlx::query(update).bind(change).bind(account).execute(&mut *tx).await?;
            }
            sqlx::query("insert into transfers (id) values ($1)").bind(id).execute(tx).await?;
            ledger::hold_while_asked(id).await;
            Ok(())
        }
    };
}

transfer!(transfer_in_sqlite, SqliteConnection);
transfer!(transfer_in_postgres, PgConnection);

#[transaction(name = "slow")]
async fn slow_in_postgres(tx: &mut PgConnection) -> Result<()> {
    sqlx::query("select pg_sleep(1)").execute(tx).await?;
    Ok(())
}

#[transaction(name = "slow")]
async fn slow_in_sqlite(tx: &mut SqliteConnection) -> Result<()> {
    sqlx::query("insert into transfers (id) values ('slow')").execute(&mut *tx).await?;
    sqlx::query("delete from transfers where id = 'slow'").execute(&mut *tx).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(())
}

fn is_postgres() -> bool {
    durable::state::<Kind>().is_postgres
}

async fn transfer(id: &str, number: i64) -> Result<()> {
    if is_postgres() { transfer_in_postgres(id, number).await } else { transfer_in_sqlite(id, number).await }
}

/// A bit of all.
#[workflow]
pub(crate) async fn order(id: String, number: i64) -> Result<Vec<u32>> {
    effect(&id, "first", 2).await?;
    sends_messages(id.clone(), MESSAGES).id(format!("{id}-sender")).start().await?;
    let limited = limited(format!("{id}-limited")).id(format!("{id}-limited")).queue(&LIMITED).start().await?;
    transfer(&id, number).await?;
    let mut received = Vec::new();
    for _ in 0..MESSAGES {
        if let Some(message) = durable::recv::<u32>("m", Duration::from_mins(4)).await? {
            received.push(message);
        }
    }
    durable::sleep(Duration::from_millis(20)).await;
    limited.await?;
    effect(&id, "last", 2).await?;
    // One message was sent twice with one key from outside, or is still to come.
    let extra = durable::recv::<u32>("extra", Duration::ZERO).await?;
    received.extend(extra);
    received.extend(durable::recv::<u32>("extra", Duration::ZERO).await?);
    Ok(received)
}

/// Transfers and messages by turns.
#[workflow]
pub(crate) async fn batch(id: String, number: i64) -> Result<Vec<u32>> {
    sends_messages(id.clone(), BATCH).id(format!("{id}-sender")).start().await?;
    let mut received = Vec::new();
    for part in 0..BATCH {
        transfer(&format!("{id}-{part}"), number + i64::from(part)).await?;
        received.extend(durable::recv::<u32>("m", Duration::from_mins(4)).await?);
    }
    Ok(received)
}

/// Publishes values of an event and items of a stream.
#[workflow]
pub(crate) async fn publishes(id: String) -> Result<()> {
    for number in 1..=PUBLISHED {
        durable::set_event("progress", &number).await?;
        durable::write_stream("items", &number).await?;
        effect(&id, &format!("published{number}"), 20).await?;
    }
    durable::close_stream("items").await
}

/// A step that is too slow, a timer, and a message that never comes.
#[workflow]
pub(crate) async fn patient(id: String) -> Result<(bool, Option<u32>)> {
    let slow = effect(&id, "too-slow", 600_000).timeout(Duration::from_millis(100)).await;
    effect(&id, "before", 2).await?;
    durable::sleep(SLEEP).await;
    effect(&id, "after", 2).await?;
    let message = durable::recv("never", Duration::from_millis(200)).await?;
    Ok((slow.is_err(), message))
}

/// Each tick is one workflow, also those for which no process was running.
#[scheduled("* * * * * *", misfire = "all")]
#[workflow]
pub(crate) async fn every_second(scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    let id = durable::workflow_id().unwrap_or_default();
    effect(&id, &format!("tick-{}", scheduled.timestamp()), 1).await.map(drop)
}

/// A tick is left out only if no process was running for it.
#[scheduled("*/2 * * * * *")]
#[workflow]
pub(crate) async fn every_other_second(scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    let id = durable::workflow_id().unwrap_or_default();
    effect(&id, &format!("tick-{}", scheduled.timestamp()), 1).await.map(drop)
}

/// Sends a workflow its messages.
#[workflow]
pub(crate) async fn sends_messages(to: String, count: u32) -> Result<()> {
    for number in 1..=count {
        durable::send(&to, "m", &number).await?;
        durable::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[workflow]
pub(crate) async fn limited(id: String) -> Result<()> {
    effect(&id, "limited", 20).await.map(drop)
}

/// One of a sequence: `name` is the key and the number.
#[workflow]
pub(crate) async fn ordered(id: String, name: String) -> Result<()> {
    effect(&id, &name, 5).await.map(drop)
}

/// Runs with its child until it is cancelled. It ends after two minutes by itself: its client may have been killed.
#[workflow]
pub(crate) async fn endless(id: String, with_child: bool) -> Result<()> {
    if with_child {
        let child = format!("{id}-child");
        endless(child.clone(), false).id(child).start().await?;
    }
    for number in 0..400 {
        effect(&id, &format!("endless{number}"), 5).await?;
        durable::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}

/// Runs with its child until its time is up, which is the child's, too.
#[workflow]
pub(crate) async fn past_deadline(id: String, with_child: bool) -> Result<()> {
    if with_child {
        let child = format!("{id}-child");
        past_deadline(child.clone(), false).id(child).start().await?;
    }
    for number in 0..10_000 {
        effect(&id, &format!("until{number}"), 5).await?;
        durable::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Holds a connection for most of the time.
#[workflow]
pub(crate) async fn long_transactions(times: u32) -> Result<()> {
    for _ in 0..times {
        if is_postgres() { slow_in_postgres().await? } else { slow_in_sqlite().await? }
    }
    Ok(())
}
