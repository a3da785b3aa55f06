//! Floor 0, the words: types and pure functions that every floor above speaks with. Nothing here
//! knows a database, a task or a workflow.

pub(crate) mod contention;
pub(crate) mod cron;
mod crontab;
pub(crate) mod duration;
pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod info;
mod nearest;
pub(crate) mod payload;
pub(crate) mod policy;
pub(crate) mod position;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod time;
pub(crate) mod timetable;
mod writable;
