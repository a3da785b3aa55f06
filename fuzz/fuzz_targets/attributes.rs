//! The attributes of the macros, whose modules are compiled into this program: a crate of macros exports nothing else.

#![no_main]

extern crate proc_macro;

#[path = "../../durable-macros/src/attribute/mod.rs"]
mod attribute;
#[path = "../../durable-macros/src/call_type.rs"]
mod call_type;
#[path = "../../durable-macros/src/check/mod.rs"]
mod check;
#[path = "../../durable-macros/src/codegen.rs"]
mod codegen;
#[path = "../../durable-macros/src/crate_path.rs"]
mod crate_path;
#[allow(dead_code, reason = "shared with the engine, which uses the sets of numbers")]
#[path = "../../durable-macros/src/cron.rs"]
mod cron;
#[path = "../../durable-macros/src/determinism/mod.rs"]
mod determinism;
#[path = "../../durable-macros/src/diagnostics.rs"]
mod diagnostics;
#[path = "../../durable-macros/src/duration.rs"]
mod duration;
#[path = "../../durable-macros/src/fingerprint.rs"]
mod fingerprint;
#[path = "../../durable-macros/src/function.rs"]
mod function;
#[path = "../../durable-macros/src/fuzz_target.rs"]
mod fuzz_target;
#[path = "../../durable-macros/src/impl_block.rs"]
mod impl_block;
#[path = "../../durable-macros/src/join_select.rs"]
mod join_select;
#[path = "../../durable-macros/src/lifetimes.rs"]
mod lifetimes;
#[path = "../../durable-macros/src/options/mod.rs"]
mod options;
#[path = "../../durable-macros/src/split.rs"]
mod split;
#[path = "../../durable-macros/src/suggest.rs"]
mod suggest;
#[path = "../../durable-macros/src/time_zones.rs"]
mod time_zones;
#[path = "../../durable-macros/src/trait_impl.rs"]
mod trait_impl;
#[path = "../../durable-macros/src/types.rs"]
mod types;
#[path = "../../durable-macros/src/user_attributes.rs"]
mod user_attributes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_target::attributes(data));
