//! Programs that use the attributes in every supported form. Each file compiles without warnings, with the lints that it
//! denies, and its test calls what it defines outside a workflow.

#![allow(
    unused_qualifications,
    unreachable_pub,
    missing_debug_implementations,
    clippy::all,
    clippy::pedantic,
    reason = "these are programs as a user may write them; some deny lints again"
)]

pub mod blocking_steps;
pub mod borrowed_and_generic_arguments;
pub mod branches;
pub mod determinism;
pub mod documented_and_visible;
pub mod errors_of_your_own;
pub mod errors_that_are_retried;
pub mod from_another_macro;
pub mod instances;
pub mod many_arguments;
pub mod methods;
pub mod patterns;
pub mod queues;
pub mod raw_identifiers;
pub mod recursion;
pub mod schedules;
pub mod shadowed_names;
pub mod transactions;
pub mod without_unsafe_code;
