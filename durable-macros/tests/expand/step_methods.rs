impl<T> Shop<T> {
    /// Finds.
    #[step]
    #[cfg(feature = "find")]
    #[allow(clippy::unused_self)]
    pub async fn find(&self, item: &str) -> Result<T> {
        self.look(item).await
    }

    #[step]
    async fn close(mut self: Box<Self>) -> u32 {
        self.stock()
    }

    #[step(retries = 1)]
    fn opens(day: u32) -> u32 {
        Self::OPEN + day
    }
}
