#[step]
async fn tick() {
    clock().tick().await;
}
