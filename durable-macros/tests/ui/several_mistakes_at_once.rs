//! All mistakes of one function are reported together, each at its token.

use durable::prelude::*;

#[workflow(name = "", max_recoveries = "few", retrys = 3)]
fn checkout<T>((item, count): (T, u32), note: &str) -> Option<u32> {
    drop((item, note));
    Some(count)
}

fn main() {}
