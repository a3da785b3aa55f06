#[step(retries = 10, backoff = "1m30s", timeout = "500ms", outside = "deny")]
async fn call_external_api(data: &str, n: u32) -> Result<String> {
    client().get(data, n).await
}
