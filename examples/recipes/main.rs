//! The recipes of the guide, as one program that runs and checks them.
//!
//! ```text
//! cargo run --example recipes            all of them
//! cargo run --example recipes -- saga    one of them
//! ```
//!
//! Each file beside this one is complete: copy it and call its `run`, or only its workflows. A recipe
//! launches an engine on the database that it is given, runs its workflows, and returns an error when
//! the outcome is not the expected one. Here every recipe gets a SQLite file of its own.

mod agent;
mod approval;
mod backfill;
mod fan_out;
mod outbox;
mod saga;
mod webhook;

use durable::prelude::*;

const RECIPES: [&str; 7] = ["saga", "approval", "webhook", "fan-out", "agent", "backfill", "outbox"];

async fn run(recipe: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("recipe.sqlite").display());
    match recipe {
        "saga" => saga::run(&url).await,
        "approval" => approval::run(&url).await,
        "webhook" => webhook::run(&url).await,
        "fan-out" => fan_out::run(&url).await,
        "agent" => agent::run(&url).await,
        "backfill" => backfill::run(&url).await,
        "outbox" => outbox::run(&url).await,
        other => Err(Error::msg(format!("no recipe has the name {other:?}; there are {}", RECIPES.join(", ")))),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut recipes: Vec<String> = std::env::args().skip(1).collect();
    if recipes.is_empty() {
        recipes = RECIPES.map(str::to_owned).to_vec();
    }
    for recipe in recipes {
        Box::pin(run(&recipe)).await?;
        println!("{recipe}: ok");
    }
    Ok(())
}
