//! Crashes and restarts of the engine of a test.

use crate::TestApp;

impl TestApp {
    /// Ends the engine as SIGKILL ends a process: nothing is released and nothing more is written, and everything that
    /// runs is dropped where it stands. [`restart`](Self::restart) launches it again.
    ///
    /// Until then every call fails. A step without `async` cannot be dropped: it runs to its end, and its result is lost.
    /// Handles of workflows belong to the engine that has crashed: after the restart find the workflow by its id, with
    /// the same call or with [`retrieve_workflow`](durable_core::retrieve_workflow).
    ///
    /// # Example
    ///
    /// ```no_run
    /// use durable::prelude::*;
    ///
    /// # #[step]
    /// # async fn charge(cents: u64) -> String { format!("charged {cents}") }
    /// #[workflow]
    /// async fn checkout(cents: u64) -> Result<String> {
    ///     let receipt = charge(cents).await;
    ///     durable::sleep(Duration::from_secs(3_600)).await;
    ///     Ok(receipt)
    /// }
    ///
    /// #[durable::test]
    /// async fn a_crash_while_it_sleeps_does_not_charge_again(app: TestApp) {
    ///     checkout(700).id("order-7").start().await.unwrap();
    ///     app.advance(Duration::ZERO).await; // until it sleeps
    ///     app.crash().await;
    ///     app.restart().await;
    ///     let handle = app.retrieve_workflow::<String>("order-7").await.unwrap();
    ///     app.advance(Duration::from_secs(3_600)).await;
    ///     assert_eq!(handle.await.unwrap(), "charged 700");
    /// }
    /// # fn main() {}
    /// ```
    pub async fn crash(&self) {
        self.engine.process().crash().await;
    }

    /// Launches the engine again, on the same database and with the same settings, after [`crash`](Self::crash). The
    /// workflows that were running are recovered at once. An engine that still runs is shut down first, as for a deploy
    /// that does not wait: [`ShutdownOptions::immediate`](durable_core::ShutdownOptions::immediate).
    ///
    /// From then on this value and the calls in the test's own task use the new engine. Its time goes on where that of
    /// the earlier one was.
    ///
    /// # Panics
    /// The launch fails, or another restart is under way.
    pub async fn restart(&self) {
        self.engine.restart().await;
    }
}
