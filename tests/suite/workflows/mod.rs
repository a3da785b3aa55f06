//! The user's view: workflows and steps as the macros expand them.

mod attribute;
mod branches;
mod calls;
mod children;
mod engines;
mod errors;
mod inline_steps;
mod listing;
mod objects;
mod once;
mod refusals;
mod select;

pub(crate) use calls::{arrived, gate};
pub(crate) use refusals::branch;
