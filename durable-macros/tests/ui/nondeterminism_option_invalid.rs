use durable::prelude::*;

#[workflow(nondeterminism = "allowed")]
async fn checkout() -> Result<()> {
    Ok(())
}

#[workflow(nondeterminism)]
async fn refund() -> Result<()> {
    Ok(())
}

#[step(nondeterminism = "allow")]
async fn charge() -> Result<()> {
    Ok(())
}

fn main() {}
