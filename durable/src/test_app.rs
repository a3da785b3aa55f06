//! The engine of one test.

use std::ops::Deref;

use durable_core::Durable;

/// The engine of one test, which [`#[durable::test]`](macro@crate::test) launches. It is a [`Durable`], and the engine
/// of everything that the test's own task calls.
///
/// When the test ends the engine is shut down, and the test fails if something was left behind: a
/// workflow's body that blocks, a task of the engine, a connection, a schema.
///
/// The type is always there, so that the [prelude](crate::prelude) is the same in every build. One is
/// made by `#[durable::test]` alone, which needs the feature `testing`:
///
/// ```toml
/// [dev-dependencies]
/// durable = { path = "../durable/durable", features = ["testing"] }
/// ```
#[derive(Debug, Clone)]
pub struct TestApp {
    #[cfg(feature = "testing")]
    pub(crate) engine: std::sync::Arc<crate::testing::test_engine::TestEngine>,
    #[cfg(not(feature = "testing"))]
    never: std::convert::Infallible,
}

impl Deref for TestApp {
    type Target = Durable;

    #[cfg(feature = "testing")]
    fn deref(&self) -> &Durable {
        self.engine.app()
    }

    #[cfg(not(feature = "testing"))]
    fn deref(&self) -> &Durable {
        match self.never {}
    }
}

/// Asserts that a workflow was enqueued. It needs the feature `testing`.
#[cfg(not(feature = "testing"))]
#[macro_export]
macro_rules! assert_enqueued {
    ($($any:tt)*) => {
        ::core::compile_error!(
            "`assert_enqueued!` needs the feature `testing` of `durable`: add `durable = { .., features = [\"testing\"] }` under `[dev-dependencies]` in Cargo.toml"
        )
    };
}

/// Asserts that there is a schedule. It needs the feature `testing`.
#[cfg(not(feature = "testing"))]
#[macro_export]
macro_rules! assert_scheduled {
    ($($any:tt)*) => {
        ::core::compile_error!(
            "`assert_scheduled!` needs the feature `testing` of `durable`: add `durable = { .., features = [\"testing\"] }` under `[dev-dependencies]` in Cargo.toml"
        )
    };
}

/// Asserts that recorded histories replay. It needs the feature `testing`.
#[cfg(not(feature = "testing"))]
#[macro_export]
macro_rules! assert_replays {
    ($($any:tt)*) => {
        ::core::compile_error!(
            "`assert_replays!` needs the feature `testing` of `durable`: add `durable = { .., features = [\"testing\"] }` under `[dev-dependencies]` in Cargo.toml"
        )
    };
}
