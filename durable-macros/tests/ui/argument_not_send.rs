use std::cell::Cell;
use std::rc::Rc;

use durable::prelude::*;

#[step]
async fn charge(order: Rc<str>) -> Result<()> {
    println!("{order}");
    Ok(())
}

#[step]
async fn count(number: u32, total: &Cell<u32>) -> Result<()> {
    total.set(total.get() + number);
    Ok(())
}

fn main() {}
