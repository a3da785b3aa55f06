use durable::prelude::*;

#[step(retries = 3, backoff = "1s", retries = 5)]
async fn charge() -> Result<()> {
    Ok(())
}

fn main() {
    let _ = charge().retries(1);
}
