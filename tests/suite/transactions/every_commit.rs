//! A crash before and after every commit of five transactions: each takes effect once.

use std::sync::Arc;

use durable::prelude::*;
use durable::sqlx::{self, AssertSqlSafe, PgConnection, SqliteConnection};
use durable_core::store::Store;

use crate::counter::fresh;
use crate::restart::faults::{Faulty, Mode};
use crate::stage::{Stage, on_every_stage};

on_every_stage! {
    a_crash_before_every_commit_applies_each_transaction_once,
    a_crash_after_every_commit_applies_each_transaction_once,
    a_lost_answer_to_every_commit_applies_each_transaction_once,
}

#[transaction]
async fn add_lite(tx: &mut SqliteConnection, text: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(tx).await?;
    Ok(())
}

#[transaction]
async fn add_pg(tx: &mut PgConnection, text: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(tx).await?;
    Ok(())
}

#[transaction(read_only)]
async fn count_lite(tx: &mut SqliteConnection, text: String) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(tx).await?)
}

#[transaction(read_only)]
async fn count_pg(tx: &mut PgConnection, text: String) -> Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(tx).await?)
}

#[step]
async fn between(number: u32) -> u32 {
    number
}

/// Five transactions, and a step between the second and the third, whose record rides along.
#[workflow]
async fn five_transactions(table: String, key: String, postgres: bool) -> Result<u32> {
    let mut sum = 0;
    for number in 1..=5 {
        let text = format!("insert into {table} values ('{key}', {number})");
        if postgres {
            add_pg(text).await?;
        } else {
            add_lite(text).await?;
        }
        if number == 2 {
            sum += between(40).await;
        }
    }
    Ok(sum)
}

async fn run(stage: &Stage, mode: Mode) {
    let postgres = stage.is_postgres();
    let table = if postgres { format!("\"{}\".applied", stage.schema()) } else { "applied".to_owned() };
    let app = stage.launch().await;
    let create = format!("create table {table} (key text, number bigint)");
    app.scope(async { if postgres { add_pg(create).await } else { add_lite(create).await } }).await.unwrap();
    app.shutdown().await;

    for at in 1.. {
        let key = fresh("five");
        let faulty = Faulty::new(stage, mode, at).await;
        let app = stage.builder("faulty").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let call = app.spawn(five_transactions(table.clone(), key.clone(), postgres).id(&key));
        faulty.run_or_die(call).await;
        drop(app);
        faulty.close().await;

        let app = stage.launch().await;
        let again = app.spawn(five_transactions(table.clone(), key.clone(), postgres).id(&key));
        assert_eq!(again.await.unwrap().unwrap(), 40, "{mode:?} at commit {at}");
        let text = format!("select count(*) from {table} where key = '{key}'");
        let counted = app.scope(async { if postgres { count_pg(text).await } else { count_lite(text).await } });
        assert_eq!(counted.await.unwrap(), 5, "{mode:?} at commit {at}: each is applied once");
        assert_eq!(app.list_steps(&key).await.unwrap().len(), 6);
        app.shutdown().await;
        if !faulty.was_reached() {
            assert!(at > 6, "the start, five transactions and the end were all tried");
            return;
        }
    }
}

async fn a_crash_before_every_commit_applies_each_transaction_once(stage: &Stage) {
    run(stage, Mode::Before).await;
}

async fn a_crash_after_every_commit_applies_each_transaction_once(stage: &Stage) {
    run(stage, Mode::After).await;
}

async fn a_lost_answer_to_every_commit_applies_each_transaction_once(stage: &Stage) {
    run(stage, Mode::LostAnswer).await;
}
