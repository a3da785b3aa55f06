//! The integration tests, in one binary so that they are linked once.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, with its location")]
mod allocation_counts;
#[cfg(unix)]
mod browser;
mod cli;
mod client;
mod commit_counts;
mod conformance;
mod control;
mod crash;
mod dashboard;
mod fuzz;
mod healing;
mod messaging;
mod observability;
mod other_languages;
mod programs;
mod queues;
mod recipes;
mod restart;
mod shutdown;
#[cfg(unix)]
mod signals;
mod support;
mod testing;
mod transactions;
mod versions;
mod workflows;
