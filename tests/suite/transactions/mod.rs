//! `#[transaction]`: the user's SQL exactly once.

mod bank;
mod every_commit;
mod rules;
