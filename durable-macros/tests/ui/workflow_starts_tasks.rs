use durable::prelude::*;

#[workflow]
async fn greet_both(left: String, right: String) -> Result<String> {
    let left = tokio::spawn(greet(left));
    let digest = tokio::task::spawn_blocking(|| 3);
    let mut more = tokio::task::JoinSet::new();
    more.spawn(async { 4 });
    let right = std::thread::spawn(move || right.len());
    tokio::select! {
        left = left => left.expect("it ends"),
        _ = digest => Ok(format!("{:?}", right.join())),
    }
}

#[step]
async fn greet(user: String) -> Result<String> {
    Ok(format!("Hello, {user}"))
}

fn main() {}
