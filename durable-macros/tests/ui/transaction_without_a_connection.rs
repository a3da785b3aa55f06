use durable::prelude::*;

#[transaction]
async fn create_user(id: String) -> Result<()> {
    println!("{id}");
    Ok(())
}

#[transaction]
async fn count() -> Result<u32> {
    Ok(0)
}

struct Users;

impl Users {
    #[transaction]
    async fn count(&self) -> Result<u32> {
        Ok(0)
    }
}

#[workflow]
async fn sign_up(id: String) -> Result<u32> {
    create_user(id).await?;
    Ok(count().await? + Users.count().await?)
}

fn main() {}
