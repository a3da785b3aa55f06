#[workflow(crate = "renamed")]
async fn checkout(order: Order) -> Result<Receipt> {
    charge(order).await
}

#[step(crate = "renamed")]
fn digest(data: Vec<u8>) -> u64 {
    data.len()
}

#[transaction(crate = "renamed", isolation = "serializable")]
async fn create_user(tx: &mut PgConnection, id: &str) -> Result<()> {
    insert(tx, id).await
}

#[instance(crate = "renamed")]
impl Shop {
    #[renamed::workflow]
    async fn restock(&self, item: Item, count: u32) -> Result<()> {
        self.order(item, count).await
    }
}

#[renamed::test(crate = "renamed")]
async fn sells(app: TestApp) {
    sell(app).await;
}
