//! The integration tests, in one binary so that they are linked once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so, and where")]
mod conformance;
mod cost;
mod counter;
mod crash;
mod languages;
mod lot;
mod programs;
mod queues;
mod recipes;
mod restart;
mod shutdown;
#[cfg(unix)]
mod signals;
mod stage;
mod talk;
mod transactions;
mod workflows;
