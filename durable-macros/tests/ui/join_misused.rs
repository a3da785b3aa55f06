use durable::prelude::*;

#[step]
async fn ask(whom: &str) -> u32 {
    whom.len() as u32
}

#[workflow]
async fn joins() -> Result<()> {
    durable::join!();
    durable::join!(biased; ask("a"), ask("b"));
    durable::join!(ask("a") ask("b"));
    durable::join!(
        ask("a"),
        ask("b"),
        ask("c"),
        ask("d"),
        ask("e"),
        ask("f"),
        ask("g"),
        ask("h"),
        ask("i"),
    );
    Ok(())
}

fn main() {}
