//! Mocks of steps in a test.

use durable_core::{Mock, MockFunction, StepFunction};

use crate::TestApp;

impl TestApp {
    /// Puts a function in the place of a step, for this test: it takes the arguments of the step, and returns what the
    /// step returns. The program is not changed, and other tests are not affected.
    ///
    /// The step is recorded, retried and replayed like the real one. Its retries, its timeout and the limits of its
    /// queue hold. Mocks stay when the engine crashes or is launched again; another mock of the same step replaces this
    /// one. A step of a method or a generic step cannot be mocked, and panics when it is called.
    ///
    /// Arguments that are references are copied for the function, and the copies live until the process ends; all
    /// arguments have to be `Clone`. Where the function uses an argument's fields, write its type, as in
    /// `|order: &Order, cents|`.
    ///
    /// # Example
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[step(retries = 3, backoff = "1ms")]
    /// async fn charge(order: &str, cents: u32) -> Result<String> {
    ///     Err(Error::msg(format!("{order}, {cents}: tests have no access to the bank")))
    /// }
    ///
    /// #[workflow]
    /// async fn checkout(order: String) -> Result<String> {
    ///     Ok(charge(&order, 499).await?)
    /// }
    ///
    /// #[durable::test]
    /// async fn charges_once(app: TestApp) {
    ///     let charges = app.mock(charge, |order, cents| Ok(format!("{order}: {cents}")));
    ///     let charges = charges.fail_times(2, Error::msg("the bank is away"));
    ///     assert_eq!(checkout("o1".into()).await.unwrap(), "o1: 499");
    ///     assert_eq!(charges.calls(), 3);
    /// }
    /// # fn main() {}
    /// ```
    pub fn mock<F, Args, M>(&self, _step: F, function: M) -> Mock<F::Output>
    where
        F: StepFunction<Args, Output: Send + 'static>,
        Args: 'static,
        M: MockFunction<Args, F::Output>,
    {
        (**self).mock::<F, Args, M>(function)
    }
}
