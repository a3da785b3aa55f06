use durable::prelude::*;

#[workflow(timeout = "30")]
async fn no_unit() -> Result<()> {
    Ok(())
}

#[workflow(timeout = 30)]
async fn no_text() -> Result<()> {
    Ok(())
}

#[workflow(timeout = "0s")]
async fn no_time() -> Result<()> {
    Ok(())
}

#[workflow(time_out = "1h")]
async fn misspelt() -> Result<()> {
    Ok(())
}

fn main() {}
