use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
async fn create_user(id: String, tx: &mut PgConnection) -> Result<()> {
    drop((id, tx));
    Ok(())
}

#[workflow]
async fn sign_up(id: String) -> Result<()> {
    create_user(id).await
}

fn main() {}
