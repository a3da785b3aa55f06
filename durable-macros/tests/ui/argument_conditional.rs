use durable::prelude::*;

#[step]
async fn charge(cents: u32, #[cfg(test)] tip: u32) -> u32 {
    #[cfg(test)]
    let cents = cents + tip;
    cents
}

fn main() {}
