#[step(retries = 3, retry_if = errors::is_transient)]
async fn charge(card: Card) -> Result<String> {
    call(card).await
}
