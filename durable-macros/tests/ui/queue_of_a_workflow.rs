use durable::prelude::*;

static NUMBER: u32 = 5;

#[workflow(queue = "tasks")]
async fn named() -> Result<()> {
    Ok(())
}

#[workflow(queue = Queue::new("tasks"))]
async fn made() -> Result<()> {
    Ok(())
}

#[workflow(queue = NUMBER)]
async fn another_type() -> Result<()> {
    Ok(())
}

fn main() {}
