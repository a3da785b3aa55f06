use durable::prelude::*;

#[step]
async fn ask(whom: &str) -> Option<u32> {
    Some(whom.len() as u32)
}

#[workflow]
async fn refutable() -> Result<u32> {
    Ok(durable::select! {
        Some(near) = ask("near") => near,
        far = ask("far") => far.unwrap_or_default(),
    })
}

#[workflow]
async fn no_future() -> Result<u32> {
    durable::select! {
        near = 3 => near,
        far = ask("far") => far.unwrap_or_default(),
    };
    durable::join!(4, ask("far"));
    Ok(1)
}

#[workflow]
async fn other_types() -> Result<u32> {
    let asked: u32 = durable::select! {
        near = ask("near") => near,
        far = ask("far") => far.unwrap_or_default(),
    };
    Ok(asked)
}

fn main() {}
