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
#[derive(Debug)]
pub struct TestApp {
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only the feature makes one"))]
    pub(crate) app: Durable,
}

impl Deref for TestApp {
    type Target = Durable;

    fn deref(&self) -> &Durable {
        &self.app
    }
}
