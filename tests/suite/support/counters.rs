//! Counters and gates by key: the tests of one process run beside each other.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

static COUNTS: LazyLock<Mutex<HashMap<String, watch::Sender<u32>>>> = LazyLock::new(Mutex::default);
static GATES: LazyLock<Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

/// Longer than any step takes to begin, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Counts one more of `key`, and returns the count.
pub(crate) fn count(key: impl Into<String>) -> u32 {
    let mut counts = COUNTS.lock().expect("nothing panics under this lock");
    let counter = counts.entry(key.into()).or_default();
    counter.send_modify(|it| *it += 1);
    *counter.borrow()
}

/// How many of `key` were counted.
pub(crate) fn counted(key: &str) -> u32 {
    let counts = COUNTS.lock().expect("nothing panics under this lock");
    counts.get(key).map_or(0, |it| *it.borrow())
}

/// Returns once the count of `key` has reached this number: once a step has begun that often, if it counts its
/// beginning.
pub(crate) async fn arrived(key: &str, many: u32) {
    let mut counter = {
        let mut counts = COUNTS.lock().expect("nothing panics under this lock");
        counts.entry(key.to_owned()).or_default().subscribe()
    };
    let arrived = counter.wait_for(|it| *it >= many);
    let arrived = tokio::time::timeout(PATIENCE, arrived).await;
    arrived.unwrap_or_else(|_| panic!("{key:?} was counted {} times, not {many}", counted(key))).expect("it is kept");
}

/// A gate that a step waits at, and that a test opens.
pub(crate) fn gate(name: &str) -> Arc<Semaphore> {
    let mut gates = GATES.lock().expect("nothing panics under this lock");
    Arc::clone(gates.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))))
}

/// A key that no other test has.
pub(crate) fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}
