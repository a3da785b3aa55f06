//! A step's error is any that can be recorded; a workflow's error also has `From<durable::Error>`.

#![deny(warnings)]

use std::fmt;

use durable::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Declined {
    NoMoney,
    Engine(String),
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Declined {}

impl From<durable::Error> for Declined {
    fn from(error: durable::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

#[workflow]
async fn checkout(cents: u32) -> Result<u32, Declined> {
    charge(cents).await?;
    parse("1").await.map_err(|error| Declined::Engine(error.to_string()))
}

#[workflow]
async fn outer(cents: u32) -> std::result::Result<u32, durable::Error> {
    Ok(checkout(cents).await?)
}

#[workflow]
async fn boxed(cents: u32) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    if cents == 0 {
        return Err("nothing to pay".into());
    }
    Ok(outer(cents).await?)
}

#[step]
async fn charge(cents: u32) -> Result<u32, Declined> {
    if cents == 0 { Ok(cents) } else { Err(Declined::NoMoney) }
}

#[step]
async fn parse(text: &str) -> Result<u32> {
    Ok(text.parse()?)
}

#[tokio::test]
async fn steps_and_workflows_return_errors_of_your_own() {
    assert_eq!(charge(1).await, Err(Declined::NoMoney));
    assert!(parse("x").await.is_err());
    let _ = (checkout(1).id("c"), outer(2).id("o"), boxed(3).id("b"));
}
