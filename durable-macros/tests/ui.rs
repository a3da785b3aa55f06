//! What a user is told: `tests/ui/fail` holds mistakes and the messages they get, `tests/ui/pass` what must compile and
//! run. `TRYBUILD=overwrite` writes the messages anew; read them as somebody who has never seen the crate.

#[test]
fn mistakes_get_their_message_and_the_rest_compiles() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
