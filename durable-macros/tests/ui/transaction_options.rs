use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction(isolation = "snapshot", read_only = true, database = orders)]
async fn create_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[transaction(retries = 3, readonly)]
async fn rename_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[step(isolation = "serializable")]
async fn remove_user(id: &str) -> Result<()> {
    println!("{id}");
    Ok(())
}

fn main() {}
