use std::rc::Rc;
use std::sync::mpsc::Receiver;

use durable::prelude::*;

#[step]
async fn charge(order: Rc<str>) -> Result<()> {
    println!("{order}");
    Ok(())
}

#[step]
async fn count(number: u32, totals: &Receiver<u32>) -> Result<()> {
    println!("{number} {:?}", totals.try_recv());
    Ok(())
}

fn main() {}
