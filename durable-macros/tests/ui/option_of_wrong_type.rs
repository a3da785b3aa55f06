use durable::prelude::*;

const RETRIES: u32 = 3;

#[step(retries = "3", backoff = 30, jitter = "some", name = charge_card, timeout)]
async fn charge() -> Result<()> {
    Ok(())
}

#[step(retries = RETRIES)]
async fn refund() -> Result<()> {
    Ok(())
}

#[workflow(max_recoveries = 1.5)]
async fn checkout() -> Result<()> {
    Ok(())
}

fn main() {
    let _ = RETRIES;
}
