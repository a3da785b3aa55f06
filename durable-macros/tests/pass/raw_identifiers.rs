//! Names that are keywords.

#![deny(warnings)]

use durable::prelude::*;

#[workflow]
async fn r#match(r#type: String, r#mut: bool) -> Result<String> {
    let _ = r#mut;
    Ok(r#loop(&r#type).await)
}

#[step]
async fn r#loop(r#in: &str) -> String {
    r#in.to_owned()
}

struct Yard;

impl Yard {
    #[step]
    async fn r#move(&self, r#as: u32) -> u32 {
        r#as
    }
}

#[tokio::test]
async fn names_can_be_raw_identifiers() {
    assert_eq!(r#loop("x").await, "x");
    assert_eq!(Yard.r#move(1).await, 1);
    let _ = r#match("x".into(), true).id("m");
}
