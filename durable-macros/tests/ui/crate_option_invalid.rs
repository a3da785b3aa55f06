use durable::prelude::*;

#[workflow(crate = durable)]
async fn checkout() -> Result<()> {
    Ok(())
}

#[step(crate = "not a path")]
async fn charge() -> Result<()> {
    Ok(())
}

fn main() {}
