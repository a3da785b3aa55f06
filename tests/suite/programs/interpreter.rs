//! One workflow that runs any program.

use std::future::pending;

use durable::prelude::*;
use durable::sqlx::{self, AssertSqlSafe, PgConnection, SqliteConnection};
use durable_core::store::BoxFuture;
use serde::{Deserialize, Serialize};

use super::program::{Block, Hang, Op, child_id};
use crate::support::count;

const LONG: Duration = Duration::from_hours(1);

/// The environment of a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ground {
    /// Its own id.
    pub(super) id: String,
    /// The table that transactions write to.
    pub(super) table: String,
    pub(super) postgres: bool,
}

/// Returns the results of all operations as a text.
#[workflow]
pub(super) async fn interpret(ground: Ground, program: Block) -> Result<String> {
    block(&ground, &program).await
}

/// Sends this many messages on a topic, each when the one before it is durable.
#[workflow]
async fn feeds(to: String, topic: String, many: u32) -> Result<u32> {
    for n in 0..many {
        durable::send(&to, &topic, &n).await?;
    }
    Ok(many)
}

#[workflow]
async fn sleeps_too_long() -> Result<()> {
    durable::sleep(LONG).await;
    Ok(())
}

#[workflow]
async fn waits_for_go() -> Result<Option<u32>> {
    durable::recv("go", LONG).await
}

#[workflow]
async fn is_soon_over(n: u32) -> Result<u32> {
    Ok(n)
}

#[step]
async fn works(id: &str, n: u32) -> u64 {
    count(format!("{id} {n}"));
    u64::from(n) * 10
}

#[step]
async fn fails(id: &str, n: u32) -> Result<u64, String> {
    count(format!("{id} {n}"));
    Err(format!("{n} fails"))
}

#[step(retries = 2, backoff = "1ms")]
async fn retries(id: &str, n: u32) -> Result<u32> {
    count(format!("{id} {n}"));
    let attempt = durable::step_status().map_or(0, |it| it.attempt);
    if attempt == 1 { Err(Error::msg("the first attempt")) } else { Ok(n) }
}

#[step]
async fn sets_event(id: &str, n: u32) -> Result<u32> {
    count(format!("{id} {n}"));
    durable::set_event(format!("shown {n}"), &n).await?;
    durable::write_stream(format!("shown {n}"), &n).await?;
    Ok(n)
}

macro_rules! transactions {
    ($adds:ident, $posts:ident, $connection:ty) => {
        #[transaction]
        async fn $adds(tx: &mut $connection, table: &str, id: &str, n: u32) -> Result<u32> {
            let text = format!("insert into {table} values ('{id} {n}')");
            sqlx::raw_sql(AssertSqlSafe(text)).execute(tx).await?;
            Ok(n)
        }

        #[transaction]
        async fn $posts(tx: &mut $connection, table: &str, id: &str, n: u32) -> Result<u32> {
            let text = format!("insert into {table} values ('{id} {n}')");
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *tx).await?;
            durable::send_in(tx, id, format!("posted {n}"), &n).await?;
            Ok(n)
        }
    };
}

transactions!(adds_lite, posts_lite, SqliteConnection);
transactions!(adds_pg, posts_pg, PgConnection);

fn block<'a>(ground: &'a Ground, block: &'a [Op]) -> BoxFuture<'a, Result<String>> {
    Box::pin(async move {
        let mut given = Vec::new();
        let mut awaited = Vec::new();
        for op in block {
            if let Op::Spawn(of_branch, is_awaited) = op {
                let (ground, of_branch) = (ground.clone(), of_branch.clone());
                let branch = durable::spawn(async move { self::block(&ground, &of_branch).await });
                if *is_awaited {
                    awaited.push(branch);
                }
            } else {
                given.push(run(ground, op).await?);
            }
        }
        for branch in awaited {
            given.push(format!("spawned {}", branch.await?));
        }
        Ok(format!("[{}]", given.join(", ")))
    })
}

async fn run(ground: &Ground, op: &Op) -> Result<String> {
    let Ground { id, table, postgres } = ground;
    Ok(match op {
        Op::Step(n) => works(id, *n).await.to_string(),
        Op::Fails(n) => fails(id, *n).await.expect_err("it fails"),
        Op::Retries(n) => format!("{:?}", retries(id, *n).await.map_err(|it| it.to_string())),
        Op::Shows(n) => sets_event(id, *n).await?.to_string(),
        Op::Transaction(n) if *postgres => adds_pg(table, id, *n).await?.to_string(),
        Op::Transaction(n) => adds_lite(table, id, *n).await?.to_string(),
        Op::Posts(n) => {
            if *postgres {
                posts_pg(table, id, *n).await?;
            } else {
                posts_lite(table, id, *n).await?;
            }
            received(&format!("posted {n}"), 1).await?
        }
        Op::Asks => {
            let (now, uuid, random) = (durable::now().await, durable::uuid().await, durable::random().await);
            format!("{} {} {}", now.timestamp() > 0, uuid.get_version_num(), random < 1.0)
        }
        Op::Sleep(millis) => {
            durable::sleep(Duration::from_millis(*millis)).await;
            "slept".to_owned()
        }
        Op::Join(blocks) => match &blocks[..] {
            [a, b] => format!("{:?}", durable::join!(block(ground, a), block(ground, b))),
            [a, b, c] => format!("{:?}", durable::join!(block(ground, a), block(ground, b), block(ground, c))),
            _ => unreachable!("joins have two or three arms"),
        },
        Op::Map(blocks, limit) => format!("{:?}", durable::map(blocks, *limit, |it| block(ground, it)).await),
        Op::Spawn(..) => unreachable!("it is its block's matter"),
        Op::Select { winner, arms, hang } => {
            let arm = |number: usize| {
                Box::pin(async move {
                    let given = block(ground, &arms[number]).await;
                    if number != *winner {
                        hangs(id, *hang).await;
                    }
                    given
                })
            };
            match arms.len() {
                2 => durable::select! {
                    given = arm(0) => format!("0 {}", given?),
                    given = arm(1) => format!("1 {}", given?),
                },
                _ => durable::select! {
                    given = arm(0) => format!("0 {}", given?),
                    given = arm(1) => format!("1 {}", given?),
                    given = arm(2) => format!("2 {}", given?),
                },
            }
        }
        Op::Feed(n, many) => {
            let topic = format!("fed {n}");
            let feeder = feeds(id.clone(), topic.clone(), *many).id(child_id(id, *n)).start().await?;
            let received = received(&topic, *many).await?;
            let fed = feeder.await?;
            let more: Option<u32> = durable::recv(&topic, Duration::ZERO).await?;
            format!("{received} of {fed}, {more:?}")
        }
        Op::Returns(n, many) => {
            let topic = format!("returned {n}");
            for number in 0..*many {
                durable::send(id, &topic, &number).await?;
            }
            received(&topic, *many).await?
        }
        Op::Silence(n, millis) => {
            let none: Option<u32> = durable::recv(format!("silence {n}"), Duration::from_millis(*millis)).await?;
            format!("{none:?}")
        }
        Op::Event(n) => {
            let name = format!("event {n}");
            let mut seen = Vec::new();
            for value in [*n, n + 1] {
                durable::set_event(&name, &value).await?;
                seen.push(durable::get_event::<u32>(id, &name, LONG).await?);
            }
            format!("{seen:?}")
        }
        Op::Items(n, many) => {
            for number in 0..*many {
                durable::write_stream(format!("items {n}"), &number).await?;
            }
            durable::close_stream(format!("items {n}")).await?;
            many.to_string()
        }
        Op::Child(n, program, is_awaited) => {
            let ground = Ground { id: child_id(id, *n), ..ground.clone() };
            let call = interpret(ground.clone(), program.clone()).id(&ground.id);
            if *is_awaited {
                call.await?
            } else {
                call.start().await?;
                "started".to_owned()
            }
        }
        Op::TimesOut(n) => {
            let call = sleeps_too_long().timeout(Duration::from_millis(u64::from(n % 4)));
            let error = call.await.expect_err("its time is up");
            format!("{} {error}", error.is_cancelled())
        }
        Op::First(n) => {
            let late = waits_for_go().start().await?;
            let early = waits_for(*n).await?;
            first_of_two(late, early, *n).await?
        }
    })
}

async fn waits_for(n: u32) -> Result<WorkflowHandle<Option<u32>>> {
    soon(n).start().await
}

#[workflow]
async fn soon(n: u32) -> Result<Option<u32>> {
    Ok(Some(is_soon_over(n).await?))
}

async fn first_of_two(late: WorkflowHandle<Option<u32>>, early: WorkflowHandle<Option<u32>>, n: u32) -> Result<String> {
    let first = durable::wait_first(&[late.clone(), early.clone()]).await?;
    durable::send(late.id(), "go", &n).await?;
    Ok(format!("{first} {:?} {:?}", early.await?, late.await?))
}

/// Receives this many messages.
async fn received(topic: &str, many: u32) -> Result<String> {
    let mut all = Vec::new();
    for _ in 0..many {
        all.push(durable::recv::<u32>(topic, LONG).await?.map_or("none".to_owned(), |it| it.to_string()));
    }
    Ok(all.join(" "))
}

async fn hangs(id: &str, hang: Hang) {
    match hang {
        Hang::Never => pending().await,
        Hang::Sleeps => durable::sleep(LONG).await,
        Hang::Receives(n) => drop(durable::recv::<u32>(format!("hangs {n}"), LONG).await),
        Hang::Asks(n) => drop(durable::get_event::<u32>(id, format!("hangs {n}"), LONG).await),
    }
}
