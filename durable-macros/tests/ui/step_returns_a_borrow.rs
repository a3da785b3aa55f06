use std::borrow::Cow;

use durable::prelude::*;

#[step]
async fn first(order: &str) -> &str {
    &order[..1]
}

#[step]
async fn rest<'a>(order: &'a str) -> Result<Cow<'a, str>> {
    Ok(order[1..].into())
}

#[step]
async fn shown(order: &str) -> impl std::fmt::Display {
    order.to_owned()
}

async fn all() -> Result<String> {
    Ok(format!("{}{}{}", first("tea").await, rest("tea").await?, shown("tea").await))
}

fn main() {}
