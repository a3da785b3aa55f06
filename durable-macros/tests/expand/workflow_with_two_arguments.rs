#[workflow]
pub async fn checkout(order: Order, attempt: u32) -> Result<Receipt> {
    charge(order, attempt).await
}
