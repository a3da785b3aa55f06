use std::fmt::Display;

use durable::prelude::*;

#[workflow]
async fn show<T: Display, const N: usize>(values: [T; N]) -> Result<String> {
    Ok(values.map(|it| it.to_string()).concat())
}

#[workflow]
async fn show_one(value: Option<impl Display>) -> Result<String> {
    Ok(value.map(|it| it.to_string()).unwrap_or_default())
}

fn main() {
    let _ = show([1, 2]).id("x");
}
