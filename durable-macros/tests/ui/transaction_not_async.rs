use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
fn create_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

fn main() {}
