//! The attribute macros of `durable`. Use the crate `durable`, which exports them.
//!
//! An attribute reads its options (`options`) and the function (`function`), collects what is wrong with them (`check`,
//! `faults`), and quotes the expansion (`expand`). `docs` is what users read of each, `tests/expand` shows what comes out,
//! and `tests/ui/fail` what is said of mistakes. The expansion calls `::durable::__private`, or that of the crate which
//! the option `crate` names.

mod attributes;
mod block;
mod branches;
mod check;
#[allow(dead_code, reason = "the sets of numbers are for the engine, which has the same file")]
mod crontab;
mod determinism;
mod duration;
mod expand;
mod facade;
mod faults;
mod fingerprint;
mod function;
mod lifetimes;
mod nearest;
mod options;
mod schedule;
mod types;
mod zones;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/workflow.md")]
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::workflow(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/step.md")]
#[proc_macro_attribute]
pub fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::step(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/transaction.md")]
#[proc_macro_attribute]
pub fn transaction(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::transaction(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/instance.md")]
#[proc_macro_attribute]
pub fn instance(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::instance(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/queue.md")]
#[proc_macro_attribute]
pub fn queue(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::queue(options.into(), &item.into()).into()
}

#[doc = include_str!("../docs/scheduled.md")]
#[proc_macro_attribute]
pub fn scheduled(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::scheduled(options.into(), &item.into()).into()
}

/// Not public API: `durable::join!` calls it, where its documentation is.
#[doc(hidden)]
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    branches::join(input.into()).into()
}

/// Not public API: `durable::select!` calls it, where its documentation is.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    branches::select(input.into()).into()
}

#[doc = include_str!("../docs/test.md")]
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(options.into(), item.into()).into()
}
