use durable::prelude::*;

#[step(retry = 3)]
async fn charge() -> Result<()> {
    Ok(())
}

#[step(max_backof = "1h", colour = "red")]
async fn refund() -> Result<()> {
    Ok(())
}

#[workflow(retries = 3)]
async fn checkout() -> Result<()> {
    Ok(())
}

fn main() {}
