//! Deterministic code with the name of a rejected function is accepted, and the check can be turned off.

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

#[test]
fn the_nondeterminism_check_can_be_turned_off() {
    let _ = plain("x".into()).id("x");
}
