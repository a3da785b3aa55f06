//! Finds out whether a method is in the `impl` block of a trait. An attribute is given the method alone, so this searches
//! its source file.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

use crate::function::Function;
use crate::types::source_text;

/// The trait in whose `impl` block the method is. `None` if it is in another block, or if that cannot be known: the
/// compiler then reports that the body of the method is not a member of the trait.
pub(crate) fn trait_of(function: &Function) -> Option<String> {
    if !function.is_associated() || !proc_macro::is_available() {
        return None;
    }
    let file = function.sig.ident.span().unwrap().local_file()?;
    let source = std::fs::read_to_string(file).ok()?;
    trait_in(&source, function)
}

fn trait_in(source: &str, function: &Function) -> Option<String> {
    // A file without such a block is not lexed.
    if !source.lines().any(|line| line.contains("impl") && line.contains(" for ")) {
        return None;
    }
    let mut search = Search { signature: signature_text(function.sig.to_token_stream()), found: Vec::new() };
    search.visit(source.parse().ok()?);
    // With the same method in an `impl` block of a type, either can be the one.
    let all_in_traits = search.found.iter().all(Option::is_some);
    search.found.pop().flatten().filter(|_| all_in_traits)
}

struct Search {
    signature: String,
    /// For each method with the signature, the trait of its block.
    found: Vec<Option<String>>,
}

impl Search {
    fn visit(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut block: Option<Vec<TokenTree>> = None; // the tokens since `impl`
        for token in tokens {
            match (&token, &mut block) {
                (TokenTree::Ident(ident), None) if ident == "impl" => block = Some(Vec::new()),
                (TokenTree::Group(group), _) if group.delimiter() == Delimiter::Brace => {
                    if let Some(header) = block.take() {
                        self.visit_block(trait_name(&header).as_ref(), group.stream());
                    }
                    self.visit(group.stream());
                }
                (TokenTree::Punct(punct), Some(_)) if punct.as_char() == ';' => block = None,
                (TokenTree::Group(group), None) => self.visit(group.stream()),
                (_, Some(header)) => header.push(token),
                _ => {}
            }
        }
    }

    /// Looks for the method in the braces of an `impl` block.
    fn visit_block(&mut self, trait_name: Option<&String>, content: TokenStream) {
        let mut signature: Option<TokenStream> = None;
        for token in content {
            match &token {
                TokenTree::Ident(ident) if ident == "fn" => signature = Some(token.into_token_stream()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    if signature.take().is_some_and(|it| signature_text(it) == self.signature) {
                        self.found.push(trait_name.cloned());
                    }
                }
                _ => {
                    if let Some(signature) = &mut signature {
                        signature.extend([token]);
                    }
                }
            }
        }
    }
}

/// The trait in the tokens between `impl` and the braces.
fn trait_name(header: &[TokenTree]) -> Option<String> {
    let is_for = |it: &TokenTree| matches!(it, TokenTree::Ident(ident) if ident == "for");
    let is_angle = |it: Option<&TokenTree>| matches!(it, Some(TokenTree::Punct(punct)) if punct.as_char() == '<');
    // Not the one of `for<'a>`.
    let end = (0..header.len()).find(|at| is_for(&header[*at]) && !is_angle(header.get(at + 1)))?;
    let mut start = 0;
    let mut depth = 0;
    for (at, token) in header[..end].iter().enumerate() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            TokenTree::Punct(punct) if punct.as_char() == '>' => {
                depth -= 1;
                if depth == 0 && is_angle(header.first()) && start == 0 {
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    Some(source_text(header[start..end].iter().cloned().collect()))
}

/// The signature from `fn` on, without spaces.
fn signature_text(tokens: TokenStream) -> String {
    let is_fn = |it: &TokenTree| matches!(it, TokenTree::Ident(ident) if ident == "fn");
    let mut text = source_text(tokens.into_iter().skip_while(|it| !is_fn(it)).collect());
    text.retain(|it| !it.is_whitespace());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Option<String> {
        let function = "async fn fetch(&self, id: Vec<u8>) -> Result<u32> { Ok(1) }";
        let function = Function::parse_item(function.parse().expect("test code lexes"), "step");
        trait_in(source, &function.expect("test code parses"))
    }

    #[test]
    fn the_trait_of_the_block_is_found() {
        const FETCH: &str = "#[step] async fn fetch(&self, id: Vec<u8>) -> Result<u32> { Ok(1) }";
        let in_block = |header: &str| found(&format!("use x::y;\nmod m {{ {header} {{ type A = u8; {FETCH} }} }}"));
        assert_eq!(in_block("impl Fetch for Shop").as_deref(), Some("Fetch"));
        assert_eq!(in_block("impl<T: Into<u8>> a::Fetch<T> for Shop<T>").as_deref(), Some("a::Fetch<T>"));
        assert_eq!(in_block("impl<F> Fetch for Shop<F> where F: for<'a> Fn(&'a u8)").as_deref(), Some("Fetch"));
        assert_eq!(in_block("impl Other for Shop {} impl Shop"), None);
        assert_eq!(in_block("impl<F> Shop<F> where F: for<'a> Fn(&'a u8)"), None);
        assert_eq!(in_block("impl Fetch for Other { fn fetch(&self) {} } impl Shop"), None);
    }

    #[test]
    fn a_method_that_may_be_that_of_a_type_is_left_to_the_compiler() {
        let method = "async fn fetch(&self, id: Vec<u8>) -> Result<u32> { Ok(1) }";
        let both = format!("impl Fetch for Shop {{ {method} }}\nimpl Shop {{ {method} }}");
        assert_eq!(found(&both), None);
    }
}
