//! A program that transfers money between accounts, each transfer a transaction. Tests kill it.
//!
//! ```text
//! bank_worker COUNT CONCURRENCY      makes COUNT transfers, so many at a time
//! ```
//!
//! `DURABLE_DATABASE_URL` names the system database. The accounts are in it, or in the Postgres
//! database that `BANK_DATABASE_URL` names.

use std::sync::Arc;

use durable::prelude::*;
use durable::sqlx::{self, PgConnection, PgPool, SqliteConnection};
use tokio::sync::Semaphore;

const ACCOUNTS: u32 = 100;

/// The statements of a transfer, the same in each database but for the parameters' names.
macro_rules! transfer {
    ($name:ident, $connection:ty $(, $option:meta)?) => {
        #[transaction $(($option))?]
        async fn $name(tx: &mut $connection, number: i64, from: i64, to: i64, cents: i64) -> Result<()> {
            // In the order of the accounts: transfers that cross would otherwise wait for each other
            // until one of them times out.
            let mut changes = [(from, -cents), (to, cents)];
            changes.sort_unstable();
            for (account, change) in changes {
                let update = "update accounts set cents = cents + $1 where id = $2";
                sqlx::query(update).bind(change).bind(account).execute(&mut *tx).await?;
            }
            sqlx::query("insert into transfers (number) values ($1)").bind(number).execute(tx).await?;
            Ok(())
        }
    };
}

transfer!(transfer_in_sqlite, SqliteConnection);
transfer!(transfer_in_postgres, PgConnection);
transfer!(transfer_elsewhere, PgConnection, database = "bank");

/// Makes the accounts, once: 1,000 cents in each.
macro_rules! open_accounts {
    ($name:ident, $connection:ty $(, $option:meta)?) => {
        #[transaction $(($option))?]
        async fn $name(tx: &mut $connection) -> Result<()> {
            for statement in [
                "create table if not exists accounts (id bigint primary key, cents bigint not null)",
                "create table if not exists transfers (number bigint not null)",
            ] {
                sqlx::query(statement).execute(&mut *tx).await?;
            }
            for id in 0..i64::from(ACCOUNTS) {
                let open = "insert into accounts (id, cents) values ($1, 1000) on conflict do nothing";
                sqlx::query(open).bind(id).execute(&mut *tx).await?;
            }
            Ok(())
        }
    };
}

open_accounts!(open_in_sqlite, SqliteConnection);
open_accounts!(open_in_postgres, PgConnection);
open_accounts!(open_elsewhere, PgConnection, database = "bank");

#[workflow]
async fn transfer(database: String, number: i64) -> Result<()> {
    let accounts = i64::from(ACCOUNTS);
    let (from, to, cents) = (number * 7 % accounts, (number * 13 + 1) % accounts, 1 + number % 10);
    match database.as_str() {
        "sqlite" => transfer_in_sqlite(number, from, to, cents).await,
        "postgres" => transfer_in_postgres(number, from, to, cents).await,
        _ => transfer_elsewhere(number, from, to, cents).await,
    }
}

#[workflow]
async fn open_accounts(database: String) -> Result<()> {
    match database.as_str() {
        "sqlite" => open_in_sqlite().await,
        "postgres" => open_in_postgres().await,
        _ => open_elsewhere().await,
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: i64 = arguments.next().unwrap_or_default().parse()?;
    let concurrency: usize = arguments.next().unwrap_or_default().parse()?;
    let url = std::env::var("DURABLE_DATABASE_URL").unwrap_or_default();

    let mut builder = Durable::builder("bank_worker");
    let database = if let Ok(bank) = std::env::var("BANK_DATABASE_URL") {
        builder = builder.database("bank", PgPool::connect(&bank).await?);
        "elsewhere"
    } else if url.starts_with("sqlite") {
        "sqlite"
    } else {
        "postgres"
    };
    let app = builder.launch().await?;
    open_accounts(database.to_owned()).id("open").await?;
    println!("READY");

    let permits = Arc::new(Semaphore::new(concurrency));
    let mut calls = Vec::new();
    for number in 0..count {
        let permits = Arc::clone(&permits);
        calls.push(tokio::spawn(async move {
            let _permit = permits.acquire_owned().await?;
            transfer(database.to_owned(), number).id(format!("transfer-{number}")).await
        }));
    }
    for call in calls {
        call.await??;
    }
    println!("DONE");
    app.shutdown().await;
    Ok(())
}
