use durable::prelude::*;

#[workflow]
async fn remind(user: String) -> Result<String> {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    tokio::time::sleep_until(tokio::time::Instant::from_std(due())).await;
    std::thread::sleep(Duration::from_secs(1));
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    every_second.tick().await;
    match tokio::time::timeout(Duration::from_secs(5), greet(&user)).await {
        Ok(greeted) => greeted,
        Err(_) => Ok("nobody".to_owned()),
    }
}

#[step]
async fn greet(user: &str) -> Result<String> {
    Ok(format!("Hello, {user}"))
}

fn due() -> std::time::Instant {
    std::time::Instant::now()
}

fn main() {}
