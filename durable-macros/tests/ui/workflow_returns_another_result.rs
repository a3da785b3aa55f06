use durable::prelude::{Error, workflow};

type Result<T, U> = std::result::Result<(T, U), Error>;

#[workflow]
async fn checkout(order: String) -> Result<String, u32> {
    Ok((order, 1))
}

fn main() {}
