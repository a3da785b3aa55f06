use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
async fn name<'a>(tx: &mut PgConnection, id: &'a str) -> Result<&'a str> {
    let _ = tx;
    Ok(id)
}

struct User;

#[transaction]
async fn user(tx: &mut PgConnection, id: &str) -> Result<User> {
    let _ = (tx, id);
    Ok(User)
}

fn main() {}
