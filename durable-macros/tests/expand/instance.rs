#[instance]
impl Processor {
    const LIMIT: u32 = { 3 };

    fn limit(&self) -> u32 {
        Self::LIMIT
    }

    /// Docs.
    #[workflow(max_recoveries = 5)]
    pub async fn process(&self, mut day: NaiveDate, next: Option<Self>) -> Result<Value> {
        self.fetch(day, next).await
    }
}
