use durable::prelude::*;

#[step(timeout = "30")]
async fn charge() -> Result<()> {
    Ok(())
}

#[step(backoff = "1.5s", max_backoff = "1 hour")]
async fn refund() -> Result<()> {
    Ok(())
}

#[step(timeout = "300000000000d")]
async fn wait() -> Result<()> {
    Ok(())
}

fn main() {}
