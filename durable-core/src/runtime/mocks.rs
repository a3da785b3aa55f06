//! What tests put in the place of steps.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::types::sync::{Mutex, lock};

/// A mock, whose type only the function that it stands for knows.
pub(crate) type AnyMock = Arc<dyn Any + Send + Sync>;

/// The mocks of one test, by the paths of the functions that they stand for. Engines that are launched one after the
/// other in a test share them.
#[derive(Clone, Default)]
pub(crate) struct Mocks(Arc<Mutex<HashMap<&'static str, AnyMock>>>);

impl Mocks {
    /// Replaces an earlier mock of the same function.
    pub(crate) fn set(&self, function: &'static str, mock: AnyMock) {
        lock(&self.0).insert(function, mock);
    }

    pub(crate) fn get(&self, function: &str) -> Option<AnyMock> {
        lock(&self.0).get(function).cloned()
    }
}

impl fmt::Debug for Mocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.0).keys()).finish()
    }
}
