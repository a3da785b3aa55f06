//! A bank of 100 accounts and 2,000 transfers, killed 20 times: each transfer is applied once.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use durable::sqlx::{self, Connection, PgConnection, Row, SqliteConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{ProcessDatabase, Random, finished, kill_9, program};

const TRANSFERS: i64 = 2_000;
const KILLS: u32 = 20;

fn start(database: &ProcessDatabase, bank: Option<&ProcessDatabase>) -> Child {
    let mut command = Command::new(program("bank_worker"));
    command.args([TRANSFERS.to_string(), "32".to_owned()]).current_dir(database.folder());
    command.env("DURABLE_DATABASE_URL", database.url()).stdout(Stdio::piped()).kill_on_drop(true);
    if let Some(bank) = bank {
        command.env("BANK_DATABASE_URL", bank.url());
    }
    command.spawn().expect("the program can be started")
}

/// Waits for its first transfer, and kills it at a random moment. `false` if it was done before.
async fn start_and_kill(database: &ProcessDatabase, bank: Option<&ProcessDatabase>, random: &mut Random) -> bool {
    let mut child = start(database, bank);
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let line = lines.next_line().await.expect("it prints text");
    assert_eq!(line.as_deref(), Some("READY"));
    let done = tokio::time::timeout(Duration::from_millis(random.below(120)), lines.next_line()).await;
    kill_9(child).await;
    done.is_err()
}

/// What each account must have, by the same arithmetic as the program's.
fn expected() -> HashMap<i64, i64> {
    let mut accounts: HashMap<i64, i64> = (0..100).map(|id| (id, 1000)).collect();
    for number in 0..TRANSFERS {
        let cents = 1 + number % 10;
        *accounts.entry(number * 7 % 100).or_default() -= cents;
        *accounts.entry((number * 13 + 1) % 100).or_default() += cents;
    }
    accounts
}

const ACCOUNTS: &str = "select id, cents from accounts";
const APPLIED: &str = "select number, count(*) as times from transfers group by number";

async fn check(url: &str) {
    let (accounts, applied) = if url.starts_with("sqlite") {
        let mut bank = SqliteConnection::connect(url).await.unwrap();
        (
            pairs(&sqlx::query(ACCOUNTS).fetch_all(&mut bank).await.unwrap()),
            pairs(&sqlx::query(APPLIED).fetch_all(&mut bank).await.unwrap()),
        )
    } else {
        let mut bank = PgConnection::connect(url).await.unwrap();
        (
            pairs(&sqlx::query(ACCOUNTS).fetch_all(&mut bank).await.unwrap()),
            pairs(&sqlx::query(APPLIED).fetch_all(&mut bank).await.unwrap()),
        )
    };
    assert_eq!(accounts.iter().map(|it| it.1).sum::<i64>(), 100 * 1000, "no cent is made or lost");
    assert_eq!(accounts.into_iter().collect::<HashMap<_, _>>(), expected());
    assert_eq!(i64::try_from(applied.len()), Ok(TRANSFERS), "each transfer was applied");
    assert!(applied.iter().all(|it| it.1 == 1), "and none of them twice");
}

fn pairs<R: Row>(rows: &[R]) -> Vec<(i64, i64)>
where
    usize: sqlx::ColumnIndex<R>,
    i64: for<'r> sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn run(database: &ProcessDatabase, bank: Option<&ProcessDatabase>) {
    let mut random = Random::new("kills of the bank");
    let mut kills = 0;
    for _ in 0..KILLS {
        kills += u32::from(start_and_kill(database, bank, &mut random).await);
    }
    let printed = finished(start(database, bank)).await;
    assert!(printed.contains("DONE"), "{printed}");
    println!("{TRANSFERS} transfers, {kills} of {KILLS} kills while they went on");
    assert!(kills >= 5, "it was killed at work: {kills}");
    check(bank.unwrap_or(database).url()).await;
    let workflows = database.workflows().await;
    assert!(workflows.iter().all(|it| it.status == durable::Status::Success), "{workflows:?}");
}

#[tokio::test]
async fn each_transfer_is_applied_once_on_sqlite() {
    let database = ProcessDatabase::sqlite();
    run(&database, None).await;
    database.clear().await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test]
async fn each_transfer_is_applied_once_on_postgres() {
    let database = ProcessDatabase::postgres().await;
    run(&database, None).await;
    database.clear().await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test]
async fn each_transfer_is_applied_once_in_a_second_database() {
    let (database, bank) = (ProcessDatabase::postgres().await, ProcessDatabase::postgres().await);
    run(&database, Some(&bank)).await;
    database.clear().await;
    bank.clear().await;
}
