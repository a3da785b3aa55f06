//! Runs what waits on the queues of a test.

use crate::TestApp;

impl TestApp {
    /// Waits until nothing that is due is left: every workflow that was on a queue, or was started directly, has ended,
    /// with what these have enqueued in turn. DELAYED workflows stay: [`advance`](TestApp::advance) the time first.
    ///
    /// A workflow that waits for a message or for a time keeps it waiting, up to the time limit of the test.
    ///
    /// # Example
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[queue]
    /// static LETTERS: Queue = Queue::new("letters").concurrency(1);
    ///
    /// #[workflow(queue = LETTERS)]
    /// async fn letter(to: u32) -> Result<u32> {
    ///     Ok(to)
    /// }
    ///
    /// #[durable::test]
    /// async fn all_letters_are_written(app: TestApp) {
    ///     for to in 0..5 {
    ///         letter(to).start().await.unwrap();
    ///     }
    ///     app.drain_queues().await;
    ///     assert_eq!(app.list_workflows(Filter::new().status(Status::Success)).await.unwrap().len(), 5);
    /// }
    /// # fn main() {}
    /// ```
    pub async fn drain_queues(&self) {
        self.wait_until_idle().await;
    }
}
