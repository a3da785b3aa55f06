use durable::prelude::*;
use durable::sqlx::PgConnection;

struct User {
    id: String,
}

#[transaction]
async fn create_user(tx: &mut PgConnection, attempt: u32, user: User) -> Result<()> {
    let _ = (user.id, tx, attempt);
    Ok(())
}

#[transaction]
async fn rename_user(tx: &mut PgConnection, names: &mut Vec<String>) -> Result<()> {
    let _ = (names, tx);
    Ok(())
}

struct Users(u32);

impl Users {
    #[transaction]
    async fn count(&mut self, tx: &mut PgConnection) -> Result<u32> {
        let _ = tx;
        Ok(self.0)
    }

    #[transaction]
    async fn last(self, tx: &mut PgConnection) -> Result<u32> {
        let _ = tx;
        Ok(self.0)
    }
}

fn main() {}
