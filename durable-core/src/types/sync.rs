//! Locking without a word about poison.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic while the lock was held is no reason to give up: what the engine's locks guard is
/// changed in single steps, so it is whole at every moment. User code never runs under one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
