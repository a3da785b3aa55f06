//! All targets of the engine in one program: the environment variable `TARGET` names the one.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("TARGET").expect("TARGET is to name a target, such as crontab"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| durable_core::fuzz_targets::run(&TARGET, data));
