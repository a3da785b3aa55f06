use durable::prelude::*;
use durable::sqlx::{PgPool, Postgres, Transaction};

#[transaction]
async fn create_user(tx: &mut Transaction<'_, Postgres>, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[transaction]
async fn rename_user(pool: &mut PgPool, id: &str) -> Result<()> {
    let _ = (id, pool);
    Ok(())
}

#[transaction]
async fn remove_user(users: &mut Vec<String>, id: &str) -> Result<()> {
    users.retain(|it| it != id);
    Ok(())
}

fn main() {}
