//! The commands, one per file.

pub(super) mod cancel;
pub(super) mod completions;
pub(super) mod context;
pub(super) mod control;
pub(super) mod dashboard;
pub(super) mod doctor;
pub(super) mod enqueue;
pub(super) mod executor;
pub(super) mod fork;
pub(super) mod gc;
pub(super) mod health;
pub(super) mod history;
pub(super) mod ls;
pub(super) mod messages;
pub(super) mod migrate;
pub(super) mod place;
pub(super) mod queue;
pub(super) mod reset;
pub(super) mod schedule;
pub(super) mod send;
pub(super) mod show;
pub(super) mod status;
pub(super) mod verify;
pub(super) mod version;
