//! The things that tasks and calls wait for: a deadline, a change in the database, a phase of the
//! shutdown, a cancellation, a wake-up.

pub(crate) mod cancellation;
pub(crate) mod clock;
pub(crate) mod poll_batch;
pub(crate) mod poll_order;
pub(crate) mod shutdown_phase;
pub(crate) mod timers;
pub(crate) mod waiters;
pub(crate) mod wakeup;
