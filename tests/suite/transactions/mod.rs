//! `#[transaction]`: exactly once.

mod exactly_once;
mod killed_bank;
mod rules;
