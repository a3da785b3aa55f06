//! Virtual time in a test.

use std::time::Duration;

use crate::TestApp;

/// Virtual time: there is one clock for sleeps, timeouts, deadlines, the delays between retries, delayed and debounced
/// workflows, rate limits and schedules, and the test moves it.
impl TestApp {
    /// Lets time pass: everything that is due within `duration` happens, each at its moment and in order, and what it
    /// leads to as well.
    ///
    /// First everything goes on that can go on without time passing, until all workflows wait. Then the clock moves to
    /// the first moment at which something is due, and everything goes on again until it rests, and so on until nothing
    /// more is due within `duration`. While things go on the clock stands still, so a workflow that sleeps for a
    /// day twice wakes after exactly two days. Steps and transactions that run are waited for in real time.
    ///
    /// Ticks of schedules are due like everything else: pause the schedules that a test over months is not about, with
    /// [`pause_schedule`](crate::Durable::pause_schedule).
    ///
    /// ```
    /// # use durable::prelude::*;
    /// #[step]
    /// async fn remind(day: u32) -> String {
    ///     format!("day {day}")
    /// }
    ///
    /// #[workflow]
    /// async fn trial() -> Result<String> {
    ///     durable::sleep(Duration::from_secs(7 * 86_400)).await;
    ///     let paid = durable::recv::<u64>("payment", Duration::from_secs(7 * 86_400)).await?;
    ///     Ok(if paid.is_some() { "paid".into() } else { remind(14).await })
    /// }
    ///
    /// #[durable::test]
    /// async fn a_trial_ends_after_two_weeks(app: TestApp) {
    ///     let handle = trial().start().await.unwrap();
    ///     app.advance(Duration::from_secs(14 * 86_400)).await;
    ///     assert_eq!(handle.result().await.unwrap(), "day 14");
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    /// Things do not come to rest: something goes on for longer than the [patience](Self::set_patience), such as a step
    /// that never ends. The message lists what each unfinished workflow waits for.
    pub async fn advance(&self, duration: Duration) {
        if let Err(message) = self.engine.app().advance(duration).await {
            panic!("{message}");
        }
    }

    /// Lets time pass until the next moment at which something is due, and until everything rests again. Returns how
    /// much time has passed; `None` if nothing is due.
    ///
    /// ```
    /// # use durable::prelude::*;
    /// # #[workflow]
    /// # async fn naps() -> Result<()> {
    /// #     durable::sleep(Duration::from_secs(60)).await;
    /// #     Ok(())
    /// # }
    /// #[durable::test]
    /// async fn naps_for_a_minute(app: TestApp) {
    ///     let handle = naps().start().await.unwrap();
    ///     assert_eq!(app.advance_to_next().await.map(|it| it.as_secs_f64().round()), Some(60.0));
    ///     assert_eq!(app.advance_to_next().await, None);
    ///     handle.result().await.unwrap();
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    /// As [`advance`](Self::advance).
    pub async fn advance_to_next(&self) -> Option<Duration> {
        self.engine.app().advance_to_next().await.unwrap_or_else(|message| panic!("{message}"))
    }

    /// Sets how long, in real time, the test waits for something that does not get on before it fails. 5 s by default.
    ///
    /// A test fails that waits for the engine, for example for the result of a workflow, while nothing can go on without
    /// time passing and nothing is due within this time. So does an [`advance`](Self::advance) during which something goes
    /// on for this long, such as a step that waits for a slow service; a statement of the engine has 5 s at least.
    pub fn set_patience(&self, patience: Duration) {
        self.engine.app().set_patience(patience);
    }
}
