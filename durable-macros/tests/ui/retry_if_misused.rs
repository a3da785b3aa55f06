use durable::prelude::*;

fn is_busy(error: &Error) -> bool {
    error.to_string().contains("busy")
}

fn is_long(text: &str) -> bool {
    text.len() > 3
}

#[step(retries = 3, retry_if = "is_busy")]
async fn charge() -> Result<()> {
    Ok(())
}

#[step(retries = 3, retry_if = |error| is_busy(error))]
async fn refund() -> Result<()> {
    Ok(())
}

#[step(retries = 3, retry_if = is_busy)]
async fn count() -> u32 {
    3
}

#[step(retries = 3, retry_if = is_long)]
async fn ship() -> Result<()> {
    Ok(())
}

fn main() {}
