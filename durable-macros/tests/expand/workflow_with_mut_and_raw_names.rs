#[durable::workflow]
async fn r#loop(mut r#type: Vec<String>, _unused: bool) -> durable::Result<String> {
    r#type.pop().ok_or_else(|| durable::Error::msg("nothing"))
}
