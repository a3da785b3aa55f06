use std::fs;

use durable::prelude::*;

mod reqwest {
    pub async fn get(_: &str) -> std::io::Result<String> {
        Ok(String::new())
    }
}

#[workflow]
async fn import(path: String) -> Result<String> {
    let text = fs::read_to_string(&path)?;
    std::fs::write("copy", &text)?;
    let reply = reqwest::get("http://localhost").await?;
    Ok(reply + &std::env::var("HOME").unwrap_or_default())
}

fn main() {}
