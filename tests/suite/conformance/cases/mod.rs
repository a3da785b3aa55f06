//! The cases by topic.

pub(super) mod again;
pub(super) mod cancel;
pub(super) mod clock;
pub(super) mod costs;
pub(super) mod delays;
pub(super) mod enqueue;
pub(super) mod entries;
pub(super) mod fences;
pub(super) mod life;
pub(super) mod limits;
pub(super) mod lines;
pub(super) mod look;
pub(super) mod mail;
pub(super) mod migrations;
pub(super) mod outbox;
pub(super) mod partitions;
pub(super) mod payloads;
pub(super) mod people;
pub(super) mod posts;
pub(super) mod presence;
pub(super) mod queues;
pub(super) mod races;
pub(super) mod shows;
pub(super) mod takeover;
pub(super) mod turns;
pub(super) mod verdicts;
