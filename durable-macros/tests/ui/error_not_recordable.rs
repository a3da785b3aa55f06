use durable::prelude::*;

#[derive(Debug)]
struct Declined;

#[step]
async fn charge() -> Result<u32, Declined> {
    Err(Declined)
}

fn main() {}
