//! Tells a test which libraries it was compiled with, so that it can compile other programs with the same ones. Cargo has
//! no variable for that, and a second `cargo` would build all dependencies again for other flags or features.

use proc_macro::TokenStream;

/// The command line of the compiler process that expands the macro, as a `&[&str]`.
#[proc_macro]
pub fn rustc_args(_: TokenStream) -> TokenStream {
    let arguments: Vec<String> = std::env::args().collect();
    format!("&{arguments:?}").parse().expect("the debug form of strings is a literal")
}
