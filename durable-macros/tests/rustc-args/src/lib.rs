//! Reports to a test which libraries it was compiled with, so that it can compile other programs with the same ones. Cargo has
//! no variable for that, and a second `cargo` would build all dependencies again for other flags or features.

use proc_macro::{Delimiter, Group, Literal, Punct, Spacing, TokenStream, TokenTree};

/// The command line of the compiler process that expands the macro, as a `&[&str]`.
#[proc_macro]
pub fn rustc_args(_: TokenStream) -> TokenStream {
    let punct = |character| TokenTree::from(Punct::new(character, Spacing::Alone));
    let strings = std::env::args().flat_map(|it| [TokenTree::from(Literal::string(&it)), punct(',')]).collect();
    TokenStream::from_iter([punct('&'), Group::new(Delimiter::Bracket, strings).into()])
}
