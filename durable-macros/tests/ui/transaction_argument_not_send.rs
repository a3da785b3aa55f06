use std::rc::Rc;

use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
async fn create_user(tx: &mut PgConnection, id: Rc<str>) -> Result<()> {
    let _ = (id, tx);
    Ok(())
}

#[transaction]
async fn rename_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    let shared = Rc::new(id);
    durable::sqlx::query("select 1").execute(tx).await?;
    drop(shared);
    Ok(())
}

fn main() {}
