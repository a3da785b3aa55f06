use std::time::{Instant, SystemTime};

use durable::prelude::*;

#[workflow]
async fn checkout(order: String) -> Result<String> {
    let begun = Instant::now();
    println!("{order} at {:?} or {}", SystemTime::now(), Utc::now());
    Ok(format!("{:?}", begun.elapsed()))
}

fn main() {}
