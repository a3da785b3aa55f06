use durable::prelude::*;

#[step(retries = -1, jitter = 20, backoff_rate = 0.5, timeout = "0s", outside = "allow")]
async fn charge() -> Result<()> {
    Ok(())
}

#[step(retries = 5_000_000_000)]
async fn refund() -> Result<()> {
    Ok(())
}

fn main() {}
