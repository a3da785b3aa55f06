use durable::prelude::*;
use durable::sqlx::PgConnection;

#[transaction]
struct User;

trait Users {
    #[transaction]
    async fn count(&self, tx: &mut PgConnection) -> Result<u32>;
}

#[transaction]
impl User {}

fn main() {}
