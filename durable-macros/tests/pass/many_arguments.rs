//! A workflow and a step take any number of arguments, and Clippy reports it once, unless the user turns that off.

#![deny(warnings)]

use durable::prelude::*;

#[allow(clippy::too_many_arguments)]
#[workflow]
async fn many(
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: i8,
    f: i16,
    g: i32,
    h: i64,
    i: bool,
    j: char,
    k: String,
    l: Vec<u8>,
) -> Result<u64> {
    let sum = all(a, b, c, d, e, f, g, h, i, j, &k, &l).await;
    Ok(sum)
}

#[step]
#[expect(clippy::too_many_arguments)]
async fn all(a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64, i: bool, j: char, k: &str, l: &[u8]) -> u64 {
    let _ = (e, f, g, h, i, j);
    u64::from(a) + u64::from(b) + u64::from(c) + d + k.len() as u64 + l.len() as u64
}

#[workflow]
async fn none() -> Result<()> {
    nothing().await;
    Ok(())
}

#[step]
async fn nothing() {}

#[tokio::test]
async fn a_workflow_takes_many_arguments() {
    assert_eq!(all(1, 2, 3, 4, 0, 0, 0, 0, true, 'x', "five", &[1, 2]).await, 16);
    let _ = (many(1, 2, 3, 4, 0, 0, 0, 0, true, 'x', "five".into(), vec![]).id("m"), none().id("n"));
}
