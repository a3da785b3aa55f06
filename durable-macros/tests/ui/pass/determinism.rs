//! What only looks nondeterministic is left alone, and there is a way out.

#![deny(warnings)]

use durable::prelude::*;

#[workflow(nondeterminism = "allow")]
async fn measured(order: String) -> Result<String> {
    let begun = std::time::Instant::now();
    tokio::select! {
        () = std::future::pending() => {}
        () = async {} => {}
    }
    println!("{order} took {:?}", begun.elapsed());
    Ok(order)
}

#[workflow]
async fn plain(order: String) -> Result<String> {
    #[step]
    async fn read(path: &str) -> Result<String> {
        Ok(std::fs::read_to_string(path)?)
    }
    let (left, right) = (read(&order), measured(order.clone()));
    let (left, right) = tokio::join!(left, right);
    Ok(left? + &right?)
}

fn main() {
    let _ = plain("x".into()).id("x");
}
