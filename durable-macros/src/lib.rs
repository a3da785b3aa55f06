//! The attribute macros of `durable`. Use the crate `durable`, which exports them.

mod attributes;
mod check;
mod duration;
mod expand;
mod faults;
mod fingerprint;
mod function;
mod lifetimes;
mod options;
mod types;

use proc_macro::TokenStream;

/// w
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::workflow(options.into(), item.into()).into()
}

/// s
#[proc_macro_attribute]
pub fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::step(options.into(), item.into()).into()
}

/// t
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(options.into(), item.into()).into()
}
