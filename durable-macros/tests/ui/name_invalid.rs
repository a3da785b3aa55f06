use durable::prelude::*;

#[workflow(name = "")]
async fn checkout() -> Result<()> {
    Ok(())
}

#[step(name = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn")]
async fn charge() -> Result<()> {
    Ok(())
}

#[workflow(name = "two\nlines")]
async fn refund() -> Result<()> {
    Ok(())
}

fn main() {}
