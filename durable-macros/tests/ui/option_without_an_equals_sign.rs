use durable::prelude::*;

#[step(retries(3))]
async fn charge() -> Result<()> {
    Ok(())
}

#[step(retries = 3 backoff = "1s")]
async fn refund() -> Result<()> {
    Ok(())
}

#[workflow("checkout")]
async fn checkout() -> Result<()> {
    Ok(())
}

fn main() {}
