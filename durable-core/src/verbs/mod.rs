//! Floor 3, the verbs: one durable operation per room, each a thin layer over the journal.

pub(crate) mod branches;
pub(crate) mod call;
pub(crate) mod drive;
mod emit;
pub(crate) mod enqueue;
pub(crate) mod event;
pub(crate) mod handle;
pub(crate) mod inside;
mod lazy;
pub(crate) mod manage;
pub(crate) mod map;
pub(crate) mod once;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod outbox;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod queues;
pub(crate) mod recv;
mod running;
pub(crate) mod schedules;
pub(crate) mod select;
pub(crate) mod send;
pub(crate) mod several;
pub(crate) mod sleep;
pub(crate) mod spawn;
pub(crate) mod start;
pub(crate) mod step;
pub(crate) mod stream;
pub(crate) mod transaction;
mod unanswered;
mod until;
