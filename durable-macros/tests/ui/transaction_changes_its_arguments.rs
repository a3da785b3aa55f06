use durable::prelude::*;
use durable::sqlx::{PgConnection, SqliteConnection};
use std::cell::RefCell;

#[transaction]
async fn create(tx: &mut PgConnection, names: Option<&mut Vec<String>>) -> Result<()> {
    let _ = (tx, names);
    Ok(())
}

#[transaction]
async fn count(tx: &mut SqliteConnection, counted: RefCell<u64>) -> Result<()> {
    let _ = (tx, counted);
    Ok(())
}

#[step]
async fn insert(tx: &mut PgConnection, name: String) -> Result<()> {
    let _ = (tx, name);
    Ok(())
}

fn main() {}
