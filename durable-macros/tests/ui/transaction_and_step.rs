use durable::prelude::*;
use durable::sqlx::PgConnection;

#[step]
#[transaction]
async fn create_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[transaction]
#[durable::step(retries = 3)]
async fn rename_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

fn main() {}
