use durable::prelude::*;

fn is_busy(error: &Error) -> bool {
    error.to_string().contains("busy")
}

#[step(retries = 3, retry_if = is_bussy)]
async fn charge() -> Result<()> {
    Ok(())
}

fn main() {
    let _ = charge().retry_if(is_busy);
}
