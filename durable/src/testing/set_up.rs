//! What `#[durable::test(setup = ..)]` calls before the test.

use std::fmt;
use std::future::IntoFuture;

use durable_core::Durable;

use crate::TestApp;
use crate::testing::TestBody;

/// A function that prepares a test: it takes no argument, or the engine as `TestApp`, `&TestApp` or `&Durable`, and
/// returns nothing or a `Result`.
pub trait SetUp<Arguments> {
    /// Calls it.
    fn call(self, app: TestApp) -> TestBody<()>;
}

/// What such a function returns.
pub trait SetUpResult {
    /// Fails the test if it is an error.
    fn check(self);
}

impl SetUpResult for () {
    fn check(self) {}
}

impl<T, E: fmt::Debug> SetUpResult for Result<T, E> {
    fn check(self) {
        if let Err(error) = self {
            panic!("the setup of the test failed: {error:?}");
        }
    }
}

impl<F, C> SetUp<()> for F
where
    F: FnOnce() -> C + 'static,
    C: IntoFuture<Output: SetUpResult>,
{
    fn call(self, _: TestApp) -> TestBody<()> {
        Box::pin(async move { self().await.check() })
    }
}

impl<F, C> SetUp<(TestApp,)> for F
where
    F: FnOnce(TestApp) -> C + 'static,
    C: IntoFuture<Output: SetUpResult>,
{
    fn call(self, app: TestApp) -> TestBody<()> {
        Box::pin(async move { self(app).await.check() })
    }
}

impl<F, R: SetUpResult> SetUp<(&TestApp, R)> for F
where
    F: AsyncFnOnce(&TestApp) -> R + 'static,
{
    fn call(self, app: TestApp) -> TestBody<()> {
        Box::pin(async move { self(&app).await.check() })
    }
}

impl<F, R: SetUpResult> SetUp<(&Durable, R)> for F
where
    F: AsyncFnOnce(&Durable) -> R + 'static,
{
    fn call(self, app: TestApp) -> TestBody<()> {
        Box::pin(async move { self(&app).await.check() })
    }
}

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn set_up<Arguments>(function: impl SetUp<Arguments>, app: TestApp) -> TestBody<()> {
    function.call(app)
}

/// Not public API. Used by generated code.
#[doc(hidden)]
#[must_use]
pub fn no_set_up(_: TestApp) -> TestBody<()> {
    Box::pin(std::future::ready(()))
}
