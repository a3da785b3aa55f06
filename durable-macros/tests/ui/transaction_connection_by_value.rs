use durable::prelude::*;
use durable::sqlx::{PgConnection, SqliteConnection};

#[transaction]
async fn create_user(tx: PgConnection, id: &str) -> Result<()> {
    drop((id, tx));
    Ok(())
}

#[transaction]
async fn rename_user(tx: &SqliteConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[workflow]
async fn sign_up(id: String) -> Result<()> {
    create_user(&id).await?;
    rename_user(&id).await
}

fn main() {}
