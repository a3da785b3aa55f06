use durable::prelude::*;

#[workflow]
async fn remind(user: String) -> Result<String> {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    std::thread::sleep(Duration::from_secs(1));
    match tokio::time::timeout(Duration::from_secs(5), greet(&user)).await {
        Ok(greeted) => greeted,
        Err(_) => Ok("nobody".to_owned()),
    }
}

#[step]
async fn greet(user: &str) -> Result<String> {
    Ok(format!("Hello, {user}"))
}

fn main() {}
