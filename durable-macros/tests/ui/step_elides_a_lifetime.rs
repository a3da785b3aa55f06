use durable::prelude::*;

struct Row<'a>(&'a str);

#[step]
async fn read(row: Row) -> usize {
    row.0.len()
}

fn main() {}
