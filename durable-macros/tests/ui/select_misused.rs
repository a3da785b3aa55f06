use durable::prelude::*;

#[step]
async fn ask(whom: &str) -> Option<u32> {
    Some(whom.len() as u32)
}

#[workflow]
async fn not_as_in_tokio(ready: bool) -> Result<u32> {
    let first = durable::select! {
        biased;
        near = ask("near") => near,
        far = ask("far") => far,
    };
    let second = durable::select! {
        near = ask("near"), if ready => near,
        far = ask("far") => far,
        else => None,
    };
    Ok(first.or(second).unwrap_or_default())
}

#[workflow]
async fn arms_that_are_none() -> Result<u32> {
    durable::select! {
        near = ask("near"),
        far = ask("far") => far,
    };
    durable::select! {
        near => near,
        far = ask("far") => far,
    };
    durable::select! {
        near = => near,
        far = ask("far") => far,
    };
    durable::select! {
        ask("near") => 1,
        far = ask("far") => 2,
    };
    durable::select! {
        near = ask("near") => near
        far = ask("far") => far
    };
    Ok(1)
}

#[workflow]
async fn too_few_and_too_many() -> Result<u32> {
    durable::select! {};
    durable::select! { only = ask("only") => only };
    durable::select! {
        a = ask("a") => a,
        b = ask("b") => b,
        c = ask("c") => c,
        d = ask("d") => d,
        e = ask("e") => e,
        f = ask("f") => f,
        g = ask("g") => g,
        h = ask("h") => h,
        i = ask("i") => i,
    };
    Ok(1)
}

fn main() {}
