use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
async fn create_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

async fn sign_up(connection: &mut PgConnection, id: &str) -> Result<()> {
    create_user(connection, id).await
}

fn main() {}
