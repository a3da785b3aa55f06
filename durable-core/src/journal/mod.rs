//! Floor 2, the journal: what an execution knows and how it is written down. Here are the one
//! checkpoint path, the one door for writing, and the signals that stop an execution.

pub(crate) mod activity;
mod answer;
mod branch;
pub(crate) mod cancelling;
pub(crate) mod checkpoint;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod current;
mod durability;
pub(crate) mod execution;
pub(crate) mod level;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod looking;
pub(crate) mod panics;
pub(crate) mod poke;
mod riders;
pub(crate) mod runtime;
pub(crate) mod threads;
pub(crate) mod timers;
pub(crate) mod told;
pub(crate) mod waits;
pub(crate) mod writer;
