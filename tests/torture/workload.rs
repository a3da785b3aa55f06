//! What the processes do: steps, transactions, messages, children, queues with limits, sleeps, cancellations.

use durable::prelude::*;
use durable::sqlx::{self, PgConnection, SqliteConnection};

use crate::ledger;

/// At most three of these at once in the whole fleet.
pub(crate) const LIMIT: u32 = 3;
/// How many messages an order receives.
pub(crate) const MESSAGES: u32 = 4;
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

/// A bit of all.
#[workflow]
pub(crate) async fn order(id: String, number: i64) -> Result<Vec<u32>> {
    effect(&id, "first", 2).await?;
    sends_messages(id.clone()).id(format!("{id}-sender")).start().await?;
    let limited = limited(format!("{id}-limited")).id(format!("{id}-limited")).queue(&LIMITED).start().await?;
    let moved =
        if is_postgres() { transfer_in_postgres(&id, number).await } else { transfer_in_sqlite(&id, number).await };
    moved?;
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

/// Sends an order its messages.
#[workflow]
pub(crate) async fn sends_messages(to: String) -> Result<()> {
    for number in 1..=MESSAGES {
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

/// Runs with its child until it is cancelled.
#[workflow]
pub(crate) async fn endless(id: String, with_child: bool) -> Result<()> {
    if with_child {
        let child = format!("{id}-child");
        endless(child.clone(), false).id(child).start().await?;
    }
    for number in 0..10_000 {
        effect(&id, &format!("endless{number}"), 5).await?;
        durable::sleep(Duration::from_millis(100)).await;
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
