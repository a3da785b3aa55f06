//! `#[transaction]`: the user's SQL exactly once.

mod exactly_once;
mod killed_bank;
mod rules;
