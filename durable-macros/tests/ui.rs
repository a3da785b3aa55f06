//! The messages of mistakes: each `tests/ui/NAME.rs` fails to compile with the errors in `NAME.stderr`, which
//! `TRYBUILD=overwrite` rewrites. Read the diff as a user who has never seen the crate.
//!
//! Without a case that passes, trybuild checks all cases with one `cargo check`. One `pass` case would make it build the
//! dependencies with code generation, and run cargo twice for each case: programs that compile are in `tests/pass`.

#[test]
fn every_mistake_gets_the_committed_errors() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
