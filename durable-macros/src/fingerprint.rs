//! A number that changes exactly when the code of a function changes.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use crate::function::Function;

/// The fingerprint of the signature and the body: 64 bits of FNV-1a over the text of their tokens.
///
/// Comments and layout are no tokens, so formatting does not change it; attributes and docs are left out.
/// It is stored in databases and compared across builds, so the same code must always give the same number.
pub(crate) fn of(function: &Function) -> i64 {
    let mut hash = Fnv1a(0xcbf2_9ce4_8422_2325);
    hash.tokens(function.sig.to_token_stream());
    hash.tokens(function.body.clone());
    hash.0.cast_signed()
}

struct Fnv1a(u64);

impl Fnv1a {
    /// Token by token, because the spaces in the text of a whole stream depend on the compiler's version.
    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        // Invisible: present only when another macro passed the tokens on.
                        Delimiter::None => ("", ""),
                    };
                    self.text(open);
                    self.tokens(group.stream());
                    self.text(close);
                }
                TokenTree::Ident(ident) => self.text(&ident.to_string()),
                TokenTree::Punct(punct) => self.text(punct.as_char().encode_utf8(&mut [0; 4])),
                TokenTree::Literal(literal) => self.text(&literal.to_string()),
            }
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        // The zero keeps `a b` and `ab` apart.
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(code: &str) -> i64 {
        of(&Function::parse_item(code.parse().expect("test code lexes"), "workflow").expect("test code parses"))
    }

    #[test]
    fn layout_comments_and_docs_do_not_change_it() {
        assert_eq!(
            fingerprint("async fn f(a: u32) -> Result<()> { go(a).await?; Ok(()) }"),
            fingerprint(
                "/// Docs.\npub async fn f( a : u32 )->Result< () >{\n // a comment\n go(a).await ? ; Ok( () ) }"
            ),
        );
    }

    #[test]
    fn any_change_of_the_code_changes_it() {
        let before = fingerprint("async fn f(a: u32) -> Result<()> { go(a).await }");
        assert_ne!(before, fingerprint("async fn f(a: u64) -> Result<()> { go(a).await }"));
        assert_ne!(before, fingerprint("async fn f(a: u32) -> Result<()> { { go(a).await } }"));
        assert_ne!(fingerprint("fn f() { a b }"), fingerprint("fn f() { ab }"));
    }

    #[test]
    fn the_number_is_the_same_in_every_version() {
        assert_eq!(fingerprint("async fn f() -> Result<()> { Ok(()) }"), -344_915_285_212_886_963);
    }
}
