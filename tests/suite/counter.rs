//! Counting side effects, apart for each test that runs beside others.

use std::collections::HashMap;
use std::sync::Mutex;

static COUNTS: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

/// Counts one more of `key`, and gives how many there are now.
pub(crate) fn count(key: impl Into<String>) -> u32 {
    let mut counts = COUNTS.lock().expect("nothing panics under this lock");
    let count = counts.get_or_insert_default().entry(key.into()).or_default();
    *count += 1;
    *count
}

/// How many of `key` were counted.
pub(crate) fn counted(key: &str) -> u32 {
    let counts = COUNTS.lock().expect("nothing panics under this lock");
    counts.as_ref().and_then(|it| it.get(key)).copied().unwrap_or_default()
}

/// A key that no other test has.
pub(crate) fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}
