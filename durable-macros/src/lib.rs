//! The attribute macros of `durable`. Use the crate `durable`, which exports them.
//!
//! `attribute` has a file for each attribute. It parses the options (`options`) and the function (`function`), checks them
//! (`check`, `determinism`) and collects the errors (`diagnostics`), and quotes the expansion (`split`, `call_type`,
//! `codegen`). The expansion calls `::durable::__private`, or that of the crate which the option `crate` names.
//!
//! `docs` is the documentation of the attributes, `tests/expand` shows their expansions, `tests/pass` has programs that
//! compile, and `tests/ui` has mistakes with their messages.

mod attribute;
mod call_type;
mod check;
mod codegen;
mod crate_path;
#[allow(dead_code, reason = "shared with the engine, which uses the sets of numbers")]
mod cron;
mod determinism;
mod diagnostics;
mod duration;
#[cfg(test)]
mod expansion_snapshots;
mod fingerprint;
mod function;
#[cfg(test)]
mod fuzz_target;
mod impl_block;
mod join_select;
mod lifetimes;
mod options;
mod split;
mod suggest;
mod time_zones;
mod trait_impl;
mod types;
mod user_attributes;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/workflow.md")]
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::workflow(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/step.md")]
#[proc_macro_attribute]
pub fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::step(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/transaction.md")]
#[proc_macro_attribute]
pub fn transaction(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::transaction(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/instance.md")]
#[proc_macro_attribute]
pub fn instance(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::instance(options.into(), item.into()).into()
}

#[doc = include_str!("../docs/queue.md")]
#[proc_macro_attribute]
pub fn queue(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::queue(options.into(), &item.into()).into()
}

#[doc = include_str!("../docs/scheduled.md")]
#[proc_macro_attribute]
pub fn scheduled(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::scheduled(options.into(), &item.into()).into()
}

/// Not public API: use `durable::join!`.
#[doc(hidden)]
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    join_select::join(input.into()).into()
}

/// Not public API: use `durable::select!`.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    join_select::select(input.into()).into()
}

#[doc = include_str!("../docs/test.md")]
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::test(options.into(), item.into(), cfg!(feature = "testing")).into()
}
