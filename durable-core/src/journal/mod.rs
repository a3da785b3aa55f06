//! The journal: the records of one execution, its pending writes, and the one path of every durable
//! operation.

pub(crate) mod branch;
pub(crate) mod checkpoint;
pub(crate) mod context;
pub(crate) mod current_engine;
pub(crate) mod execution;
mod pending_writes;
pub(crate) mod piggyback;
pub(crate) mod replay_check;
pub(crate) mod reserved_position;
mod watermark;
mod writes;
