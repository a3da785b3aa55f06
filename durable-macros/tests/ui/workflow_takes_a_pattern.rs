use durable::prelude::*;

#[workflow]
async fn checkout((item, count): (String, u32), _: bool, ref note: String) -> Result<String> {
    Ok(format!("{count} {item} {note}"))
}

fn main() {
    let _ = checkout(("tea".into(), 1), true, "soon".into()).id("x");
}
