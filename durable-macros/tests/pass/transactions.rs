//! A transaction borrows, is generic and is a method; its connection is not an argument of a call.

#![deny(warnings, missing_docs, elided_lifetimes_in_paths, unused)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use durable::prelude::*;
use durable::sqlx::{self, PgConnection, SqliteConnection};

#[transaction]
async fn nothing(tx: &mut PgConnection) -> Result<()> {
    sqlx::query("select 1").execute(tx).await?;
    Ok(())
}

#[transaction(isolation = "serializable", read_only, database = "orders", name = "create-user")]
async fn create_user(tx: &mut PgConnection, id: &str, name: &str) -> Result<String> {
    sqlx::query("insert into users values ($1)").bind(id).execute(&mut *tx).await?;
    sqlx::query("insert into names values ($1)").bind(name).execute(&mut *tx).await?;
    Ok(format!("{id}{name}"))
}

#[transaction(isolation = "repeatable read")]
async fn patterns(_: &mut sqlx::SqliteConnection, mut id: String, (a, b): (usize, usize), r#type: u8) -> usize {
    id.push('x');
    a + b + id.len() + usize::from(r#type)
}

#[transaction(isolation = "read committed")]
async fn generic<T, const N: usize>(connection: &mut SqliteConnection, values: [T; N], other: &T) -> Result<usize>
where
    T: Clone + Send + Sync,
{
    select(connection).await?;
    let _ = other;
    Ok(values.len())
}

#[transaction]
async fn nested<'a>(
    tx: &mut SqliteConnection,
    keys: &[&str],
    map: Option<&BTreeMap<String, u32>>,
    note: Cow<'_, str>,
    left: &'a str,
    right: &'a str,
) -> Result<usize> {
    select(tx).await?;
    Ok(keys.len() + map.map_or(0, BTreeMap::len) + note.len() + left.len() + right.len())
}

#[transaction]
async fn unnamed(
    tx: &mut SqliteConnection,
    whole: impl Display + Clone + Send,
    part: &(impl Display + Sync),
) -> Result<String> {
    select(tx).await?;
    Ok(format!("{whole}{part}"))
}

async fn select(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("select 1").execute(connection).await?;
    Ok(())
}

type Connection = SqliteConnection;

#[derive(Clone)]
struct Shop<'a, T> {
    name: &'a str,
    stock: Vec<T>,
}

impl<'a, T: Clone + Send + Sync> Shop<'a, T> {
    const OPEN: u32 = 8;

    /// By reference.
    #[transaction]
    pub async fn find(&self, tx: &mut Connection, item: &str) -> Result<String> {
        select(tx).await?;
        Ok(format!("{item} at {}", self.name))
    }

    #[transaction]
    async fn close(mut self, tx: &mut Connection) -> Result<usize> {
        select(tx).await?;
        self.stock.pop();
        Ok(self.stock.len())
    }

    #[transaction]
    async fn shared(self: Arc<Self>, tx: &mut Connection, extra: usize) -> Result<usize> {
        select(tx).await?;
        Ok(self.stock.len() + extra)
    }

    #[transaction]
    async fn opens(tx: &mut Connection, day: u32) -> Result<u32> {
        select(tx).await?;
        Ok(Self::OPEN + day)
    }
}

#[workflow]
async fn all(name: String) -> Result<usize> {
    nothing().await?;
    create_user(&name, "Ada").await?;
    let sum = patterns(name.clone(), (1, 2), 3).await;
    let sum = sum + generic([1, 2], &3).await? + nested(&["a", &name], None, "n".into(), "l", &name).await?;
    let shop = Shop { name: &name, stock: vec![1_u8] };
    shop.find(&unnamed(1, &name).await?).await?;
    Ok(sum + shop.clone().close().await? + Arc::new(shop).shared(Shop::<u8>::opens(1).await? as usize).await?)
}

#[test]
fn a_transaction_borrows_is_generic_and_is_a_method() {
    let _ = all("n".into()).id("x");
}
