//! The parsed form of a function for the attributes: a parsed signature, and a body that stays tokens.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, FnArg, GenericArgument, Pat, PathArguments, ReturnType, Signature, Token, Type, Visibility};

use crate::types::looks_like_connection;

/// A function. Its body is not parsed: the compiler reports the errors in it, once.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// The block, with its braces.
    pub(crate) body: TokenStream,
}

/// An argument other than `self`.
pub(crate) struct Argument<'a> {
    /// Its name in the call function: the user's name, or a generated one for a pattern.
    pub(crate) name: Ident,
    /// Whether the user wrote a plain name, with or without `mut`, and not a pattern.
    pub(crate) has_plain_name: bool,
    pub(crate) pattern: &'a Pat,
    pub(crate) ty: &'a Type,
    pub(crate) attrs: &'a [Attribute],
}

impl Function {
    /// Parses the item that `#[attribute]` is on.
    pub(crate) fn parse_item(item: TokenStream, attribute: &str) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| Self::parse(input, attribute);
        parser.parse2(item)
    }

    /// Parses a function from `input`, where more items may follow.
    pub(crate) fn parse(input: ParseStream<'_>, attribute: &str) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if !peek_function(input) {
            return Err(input.error(format!("`#[{attribute}]` goes on a function")));
        }
        let sig: Signature = input.parse()?;
        if !input.peek(syn::token::Brace) {
            let message = "put it on a separate function, and call that from the trait's implementations";
            let message = format!("`#[{attribute}]` goes on a function with a body: {message}");
            return Err(syn::Error::new_spanned(&sig.ident, message));
        }
        // A body that another macro passed on is in an invisible group.
        let body: TokenTree = input.parse()?;
        Ok(Self { attrs, vis, sig, body: body.into_token_stream() })
    }

    /// The name that is recorded, without the `r#` of a raw identifier.
    pub(crate) fn name(&self) -> String {
        self.sig.ident.unraw().to_string()
    }

    pub(crate) fn arguments(&self) -> impl Iterator<Item = Argument<'_>> {
        self.sig.inputs.iter().enumerate().filter_map(|(number, input)| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(typed) => {
                let name = match &*typed.pat {
                    Pat::Ident(plain) if plain.by_ref.is_none() && plain.subpat.is_none() => {
                        Some(with_macro_hygiene(&plain.ident))
                    }
                    _ => None,
                };
                Some(Argument {
                    has_plain_name: name.is_some(),
                    name: name.unwrap_or_else(|| format_ident!("argument{number}", span = Span::mixed_site())),
                    pattern: &typed.pat,
                    ty: &typed.ty,
                    attrs: &typed.attrs,
                })
            }
        })
    }

    /// The index of a transaction's connection: an argument whose type is named so, or else a first argument that is `&mut`.
    pub(crate) fn connection_index(&self) -> Option<usize> {
        let first = || {
            self.arguments().next().is_some_and(|it| matches!(it.ty, Type::Reference(it) if it.mutability.is_some()))
        };
        self.arguments().position(|it| looks_like_connection(it.ty)).or_else(|| first().then_some(0))
    }

    /// The return type, `()` if none is written.
    pub(crate) fn return_type(&self) -> TokenStream {
        match &self.sig.output {
            ReturnType::Default => quote_spanned!(self.sig.paren_token.span.close()=> ()),
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        }
    }

    /// The tokens that an error about the recorded type underlines: the `T` of `Result<T>`, or the whole return type.
    pub(crate) fn recorded_type(&self) -> TokenStream {
        if let ReturnType::Type(_, ty) = &self.sig.output
            && let Type::Path(ty) = &**ty
            && let Some(last) = ty.path.segments.last()
            && last.ident == "Result"
            && let PathArguments::AngleBracketed(arguments) = &last.arguments
            && let Some(GenericArgument::Type(value)) = arguments.args.first()
            && arguments.args.len() == 1
        {
            return value.to_token_stream();
        }
        match &self.sig.output {
            ReturnType::Default => self.sig.ident.to_token_stream(),
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        }
    }

    /// Whether the function can only be in an `impl` block, because it uses `self` or `Self`.
    pub(crate) fn is_associated(&self) -> bool {
        self.sig.receiver().is_some() || self.self_type_span().is_some()
    }

    /// The first use of `Self`, which means that the function is in an `impl` block.
    pub(crate) fn self_type_span(&self) -> Option<Span> {
        find_self_type(self.sig.to_token_stream()).or_else(|| find_self_type(self.body.clone()))
    }
}

/// The same identifier with the hygiene of the expansion, so that no lint reports the use of an `_argument` in it.
fn with_macro_hygiene(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(Span::call_site().located_at(ident.span()));
    ident
}

fn peek_function(input: ParseStream<'_>) -> bool {
    let qualified = input.peek(Token![const]) || input.peek(Token![async]) || input.peek(Token![unsafe]);
    let next = input.peek2(Token![fn])
        || input.peek2(Token![async])
        || input.peek2(Token![unsafe])
        || input.peek2(Token![extern]);
    input.peek(Token![fn])
        || (qualified && next)
        || (input.peek(Token![extern]) && (input.peek2(Token![fn]) || input.peek2(syn::LitStr)))
}

/// The first `Self` in the tokens that does not belong to an `impl` block or a trait declared in them.
fn find_self_type(tokens: TokenStream) -> Option<Span> {
    let mut in_nested_item = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "impl" || ident == "trait" => in_nested_item = true,
            TokenTree::Ident(ident) if ident == "Self" && !in_nested_item => return Some(ident.span()),
            // The `impl` of an `impl Trait` type has no block: it ends here at the latest.
            TokenTree::Punct(punct) if matches!(punct.as_char(), ';' | '=' | ',') => in_nested_item = false,
            TokenTree::Group(group) if in_nested_item => in_nested_item = group.delimiter() != Delimiter::Brace,
            TokenTree::Group(group) => {
                if let Some(span) = find_self_type(group.stream()) {
                    return Some(span);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(code: &str) -> syn::Result<Function> {
        Function::parse_item(code.parse().expect("test code lexes"), "step")
    }

    #[test]
    fn a_body_that_does_not_parse_is_kept_as_it_is() {
        let function = parse("async fn f() { let = ; 1 + }").expect("the signature is fine");
        assert_eq!(function.body.to_string(), "{ let = ; 1 + }");
    }

    #[test]
    fn an_item_that_is_not_a_function_is_rejected() {
        for code in ["struct S;", "const X: u8 = 1;", "impl S {}", "mod m {}", "extern crate core;", "unsafe impl S {}"]
        {
            let error = parse(code).err().expect("it is not a function");
            assert_eq!(error.to_string(), "`#[step]` goes on a function", "{code}");
        }
        assert!(parse("pub(crate) async unsafe extern \"C\" fn f() {}").is_ok());
    }

    #[test]
    fn the_self_of_a_nested_impl_block_does_not_count() {
        let uses_self = |code: &str| parse(code).expect("test code parses").self_type_span().is_some();
        assert!(uses_self("fn f() -> u32 { Self::COUNT }"));
        assert!(uses_self("fn f() { println!(\"{}\", Self::COUNT) }"));
        assert!(uses_self("fn f(x: impl Fn(), y: Self) {}"));
        assert!(uses_self("fn f() { struct S; impl S { fn new() -> Self { Self } } Self::go() }"));
        assert!(!uses_self("fn f() { struct S; impl Default for S { fn default() -> Self { Self } } self::go() }"));
        assert!(!uses_self("fn f() { trait T: Sized { fn new() -> Self; } }"));
    }

    #[test]
    fn an_error_about_the_recorded_type_underlines_the_value() {
        let underlined = |code: &str| parse(code).expect("test code parses").recorded_type().to_string();
        assert_eq!(underlined("fn f() -> durable::Result<Receipt> {}"), "Receipt");
        assert_eq!(underlined("fn f() -> Receipt {}"), "Receipt");
        assert_eq!(underlined("fn f() -> Result<u8, Declined> {}"), "Result < u8 , Declined >");
        assert_eq!(underlined("fn f() {}"), "f");
    }
}
