use std::rc::Rc;

use durable::prelude::*;

#[step]
async fn ask(whom: &str) -> u32 {
    whom.len() as u32
}

#[workflow]
async fn joins() -> Result<u32> {
    let (left, _right) = durable::join!(
        async {
            let kept = Rc::new(1);
            ask("left").await + *kept
        },
        ask("right"),
    );
    Ok(left)
}

#[workflow]
async fn spawns(name: String) -> Result<u32> {
    let borrowed = &name;
    Ok(durable::spawn(async { ask(borrowed).await }).await)
}

fn main() {}
