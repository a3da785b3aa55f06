#[transaction]
async fn count(tx: &mut PgConnection) -> Result<u64> {
    select(tx).await
}

#[transaction(name = "create-user", isolation = "repeatable read", read_only, database = "orders")]
pub async fn create_user(connection: &mut SqliteConnection, id: &str, (first, last): (Name, Name)) -> Result<()> {
    insert(connection, id, first, last).await
}

impl<T> Users<T> {
    /// Finds.
    #[transaction]
    pub async fn find(&self, tx: &mut PgConnection, id: &str) -> Result<T> {
        self.select(tx, id).await
    }
}
