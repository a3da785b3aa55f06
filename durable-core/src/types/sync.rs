//! Locking that ignores poison. The engine's locks come from here, so that the models of `shuttle_models` can try the
//! orders in which threads meet at them.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

/// Locks, also after a panic under the lock: what the engine's locks guard is changed in single steps, so
/// it is consistent at any time. User code never runs under a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
