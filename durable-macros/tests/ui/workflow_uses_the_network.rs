use durable::prelude::*;
use durable::sqlx::{self, PgPool};

#[workflow]
async fn import(address: String) -> Result<u64> {
    let _stream = tokio::net::TcpStream::connect(&address).await?;
    let _listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let pool = PgPool::connect(&address).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&pool).await?;
    Ok(count as u64)
}

fn main() {}
