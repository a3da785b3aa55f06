use std::borrow::Cow;

use durable::prelude::*;

#[workflow]
async fn checkout(id: &str, lines: &[&str], total: &u64, note: Cow<'_, str>, tags: Vec<&'static str>) -> Result<()> {
    let _ = (id, lines, total, note, tags);
    Ok(())
}

fn main() {
    let _ = checkout("o-1", &["tea"], &3, "soon".into(), vec!["new"]).id("x");
}
