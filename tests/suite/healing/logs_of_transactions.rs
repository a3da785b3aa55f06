//! What the engine logs about transactions, and in which spans what they log themselves is.

use durable::prelude::*;
use durable::sqlx::sqlite::SqliteConnectOptions;
use durable::sqlx::{ConnectOptions, PgConnection, SqliteConnection, raw_sql};

use crate::support::{LogCapture, TestDatabase, count, database_tests, fresh, on_dropped_runtime};

database_tests! {
    what_a_transaction_logs_is_in_its_span,
    a_lost_race_is_one_line_at_debug,
    a_transaction_that_fails_is_one_warning_with_its_error,
}

macro_rules! transactions {
    ($speaks:ident, $loses:ident, $fails:ident, $connection:ty) => {
        #[transaction(name = "speaks_in_transaction")]
        async fn $speaks(_tx: &mut $connection) -> Result<()> {
            tracing::info!("transaction says hello");
            Ok(())
        }

        /// The first attempt fails like one that lost a race.
        #[transaction(name = "loses_a_race")]
        async fn $loses(tx: &mut $connection, key: &str) -> Result<u32> {
            let attempt = count(key);
            if attempt == 1 {
                tx.lose_race().await?;
            }
            Ok(attempt)
        }

        #[transaction(name = "declines")]
        async fn $fails(_tx: &mut $connection) -> Result<()> {
            Err(Error::msg("the account is closed"))
        }
    };
}

transactions!(speaks_in_postgres, loses_in_postgres, fails_in_postgres, PgConnection);
transactions!(speaks_in_sqlite, loses_in_sqlite, fails_in_sqlite, SqliteConnection);

/// Fails like a statement that lost a race.
trait LosesRaces {
    async fn lose_race(&mut self) -> Result<()>;
}

impl LosesRaces for PgConnection {
    async fn lose_race(&mut self) -> Result<()> {
        raw_sql("do $$ begin raise exception 'lost' using errcode = '40001'; end $$").execute(self).await?;
        Ok(())
    }
}

impl LosesRaces for SqliteConnection {
    async fn lose_race(&mut self) -> Result<()> {
        let file = std::env::temp_dir().join(format!("{}.sqlite", fresh("locked")));
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let options = options.busy_timeout(Duration::from_millis(1));
        let (mut one, mut other) = (options.connect().await?, options.connect().await?);
        raw_sql("begin immediate").execute(&mut one).await?;
        let lost = raw_sql("begin immediate").execute(&mut other).await;
        std::fs::remove_file(&file)?;
        Ok(lost.map(drop)?)
    }
}

#[workflow]
async fn speaks_in_a_transaction() -> Result<()> {
    if is_postgres() { speaks_in_postgres().await } else { speaks_in_sqlite().await }
}

#[workflow]
async fn loses_one_race(key: String) -> Result<u32> {
    if is_postgres() { loses_in_postgres(&key).await } else { loses_in_sqlite(&key).await }
}

#[workflow]
async fn is_declined() -> Result<bool> {
    Ok(if is_postgres() { fails_in_postgres().await } else { fails_in_sqlite().await }.is_err())
}

struct Kind {
    is_postgres: bool,
}

fn is_postgres() -> bool {
    durable::state::<Kind>().is_postgres
}

/// Runs `work` with an engine of its own on one thread, and returns all that was logged.
async fn logged<F: Future<Output = ()>>(
    database: &TestDatabase,
    work: impl FnOnce() -> F + Send + 'static,
) -> LogCapture {
    let kind = Kind { is_postgres: database.url().starts_with("postgres") };
    let builder = database.builder("app").accept_other_transactions().state(kind);
    let log = LogCapture::default();
    let captured = log.clone();
    on_dropped_runtime(move |runtime| {
        let _recording = captured.record();
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(work()).await;
            app.shutdown().await;
        });
    })
    .await;
    log
}

async fn what_a_transaction_logs_is_in_its_span(database: &TestDatabase) {
    let log = logged(database, async || speaks_in_a_transaction().id("speaker").await.unwrap()).await;
    let said = log.lines("transaction says hello");
    let workflow = "workflow{name=\"speaks_in_a_transaction\" id=speaker attempt=1}";
    let transaction = "transaction{name=\"speaks_in_transaction\" position=1 attempt=1}";
    assert!(said.len() == 1 && said[0].contains(workflow) && said[0].contains(transaction), "{}", log.text());
}

async fn a_lost_race_is_one_line_at_debug(database: &TestDatabase) {
    let key = fresh("race");
    let log = logged(database, async || assert_eq!(loses_one_race(key).id("loser").await.unwrap(), 2)).await;
    let lines: Vec<_> = log.lines("loses_a_race").into_iter().filter(|it| it.contains("transaction=")).collect();
    assert!(lines.len() == 1 && lines[0].contains("DEBUG") && lines[0].contains("tried again"), "{}", log.text());
    assert!(lines[0].contains("id=\"loser\" position=1 attempt=1"), "{lines:?}");
}

async fn a_transaction_that_fails_is_one_warning_with_its_error(database: &TestDatabase) {
    let log = logged(database, async || assert!(is_declined().id("declined").await.unwrap())).await;
    let lines = log.lines("a transaction failed");
    assert!(lines.len() == 1 && lines[0].contains("WARN"), "{}", log.text());
    for words in ["transaction=\"declines\"", "id=declined", "position=1", "attempt=1", "the account is closed"] {
        assert!(lines[0].contains(words), "{words}: {lines:?}");
    }
}
