//! Outbox: a row and the workflow about it are written in one transaction, so there are both or neither.
//! There is no table of pending messages to poll, and no second write that can get lost.

use durable::prelude::*;
use durable::sqlx::{self, SqliteConnection, SqlitePool};

// ANCHOR: workflow
#[step(retries = 10)]
async fn notify_warehouse(order: &str) -> Result<()> {
    println!("  warehouse: {order}");
    Ok(())
}

/// The update and the record that it was made are one commit: it happens exactly once.
#[transaction]
async fn set_status(tx: &mut SqliteConnection, order: &str, status: &str) -> Result<()> {
    sqlx::query("update orders set status = ? where id = ?").bind(status).bind(order).execute(tx).await?;
    Ok(())
}

#[workflow]
async fn fulfil_order(order: String) -> Result<()> {
    notify_warehouse(&order).await?;
    set_status(&order, "shipped").await
}

/// What the shop's handler does. The pool is the program's own, on the engine's database.
async fn place_order(pool: &SqlitePool, order: &str) -> Result<()> {
    let mut tx = pool.begin_with("begin immediate").await?;
    sqlx::query("insert into orders (id, status) values (?, 'placed')").bind(order).execute(&mut *tx).await?;
    fulfil_order(order.to_owned()).id(order).start_in(&mut tx).await?;
    if order.is_empty() || order.contains(' ') {
        return Err(Error::msg("not an order number")); // dropping `tx` rolls back both
    }
    tx.commit().await?;
    Ok(())
}
// ANCHOR_END: workflow

pub(crate) async fn run(database: &str) -> Result<()> {
    let app = Durable::builder("outbox").system_database(database).launch().await?;
    let pool = SqlitePool::connect(database).await?;
    sqlx::query("create table orders (id text primary key, status text not null)").execute(&pool).await?;

    place_order(&pool, "order-1").await?;
    durable::retrieve_workflow::<()>("order-1").await?.await?;

    place_order(&pool, "order 2").await.expect_err("this is no order number");
    let unknown = durable::retrieve_workflow::<()>("order 2").await.expect_err("it was rolled back");
    assert_eq!(unknown.kind(), durable::ErrorKind::NotFound);

    let orders: Vec<(String, String)> = sqlx::query_as("select id, status from orders").fetch_all(&pool).await?;
    assert_eq!(orders, [("order-1".to_owned(), "shipped".to_owned())]);

    pool.close().await;
    app.shutdown().await;
    Ok(())
}
