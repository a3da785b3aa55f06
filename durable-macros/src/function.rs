//! A function as the attributes see it: a signature that is understood, and a body that is only passed on.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, FnArg, GenericArgument, Pat, PathArguments, ReturnType, Signature, Token, Type, Visibility};

use crate::types::looks_like_a_connection;

/// A function whose body stays tokens: a fault inside it is the compiler's to report, once.
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
    /// What the outer half calls it: the user's name, or a fresh one for a pattern.
    pub(crate) name: Ident,
    /// Whether the user gave a plain name, with or without `mut`.
    pub(crate) named: bool,
    pub(crate) pattern: &'a Pat,
    pub(crate) ty: &'a Type,
    pub(crate) attrs: &'a [Attribute],
}

impl Function {
    /// Reads the item that `#[attribute]` stands on.
    pub(crate) fn read(item: TokenStream, attribute: &str) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| Self::parse(input, attribute);
        parser.parse2(item)
    }

    /// The same where more may follow.
    pub(crate) fn parse(input: ParseStream<'_>, attribute: &str) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if !starts_a_function(input) {
            return Err(input.error(format!("`#[{attribute}]` goes on a function")));
        }
        let sig: Signature = input.parse()?;
        if !input.peek(syn::token::Brace) {
            let message = "a method of a trait can call one, and is none itself";
            let message = format!("`#[{attribute}]` goes on a function with a body: {message}");
            return Err(syn::Error::new_spanned(&sig.ident, message));
        }
        // Another macro may have passed it on, and then it is in an invisible group.
        let body: TokenTree = input.parse()?;
        Ok(Self { attrs, vis, sig, body: body.into_token_stream() })
    }

    /// The name that is recorded: without the `r#` of a raw identifier.
    pub(crate) fn name(&self) -> String {
        self.sig.ident.unraw().to_string()
    }

    pub(crate) fn arguments(&self) -> impl Iterator<Item = Argument<'_>> {
        self.sig.inputs.iter().enumerate().filter_map(|(number, input)| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(typed) => {
                let name = match &*typed.pat {
                    Pat::Ident(plain) if plain.by_ref.is_none() && plain.subpat.is_none() => {
                        Some(generated(&plain.ident))
                    }
                    _ => None,
                };
                Some(Argument {
                    named: name.is_some(),
                    name: name.unwrap_or_else(|| format_ident!("argument{number}", span = Span::mixed_site())),
                    pattern: &typed.pat,
                    ty: &typed.ty,
                    attrs: &typed.attrs,
                })
            }
        })
    }

    /// Which of the arguments is a transaction's connection: what is called so, or what is borrowed exclusively and first.
    pub(crate) fn connection(&self) -> Option<usize> {
        let first = || {
            self.arguments().next().is_some_and(|it| matches!(it.ty, Type::Reference(it) if it.mutability.is_some()))
        };
        self.arguments().position(|it| looks_like_a_connection(it.ty)).or_else(|| first().then_some(0))
    }

    /// The return type, which is `()` when none is written.
    pub(crate) fn returned(&self) -> TokenStream {
        match &self.sig.output {
            ReturnType::Default => quote_spanned!(self.sig.paren_token.span.close()=> ()),
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        }
    }

    /// What an error in the return type underlines: the `T` where it is written `Result<T>`, and else all of it.
    pub(crate) fn returned_value(&self) -> TokenStream {
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

    /// Where the function speaks of `Self`, the type of the `impl` block that it must be in then.
    pub(crate) fn mention_of_self(&self) -> Option<Span> {
        mention_of_self(self.sig.to_token_stream()).or_else(|| mention_of_self(self.body.clone()))
    }
}

/// The same name in the same place, as an identifier of the expansion: lints leave the use of an `_argument` there alone.
fn generated(ident: &Ident) -> Ident {
    let mut ident = ident.clone();
    ident.set_span(Span::call_site().located_at(ident.span()));
    ident
}

fn starts_a_function(input: ParseStream<'_>) -> bool {
    let qualified = input.peek(Token![const]) || input.peek(Token![async]) || input.peek(Token![unsafe]);
    let next = input.peek2(Token![fn])
        || input.peek2(Token![async])
        || input.peek2(Token![unsafe])
        || input.peek2(Token![extern]);
    input.peek(Token![fn])
        || (qualified && next)
        || (input.peek(Token![extern]) && (input.peek2(Token![fn]) || input.peek2(syn::LitStr)))
}

/// A `Self` in the tokens, unless it belongs to an `impl` block or a trait that they declare themselves.
fn mention_of_self(tokens: TokenStream) -> Option<Span> {
    let mut in_own_item = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "impl" || ident == "trait" => in_own_item = true,
            TokenTree::Ident(ident) if ident == "Self" && !in_own_item => return Some(ident.span()),
            // In a type, `impl` has no block, and ends here at the latest.
            TokenTree::Punct(punct) if matches!(punct.as_char(), ';' | '=' | ',') => in_own_item = false,
            TokenTree::Group(group) if in_own_item => in_own_item = group.delimiter() != Delimiter::Brace,
            TokenTree::Group(group) => {
                if let Some(place) = mention_of_self(group.stream()) {
                    return Some(place);
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

    fn read(code: &str) -> syn::Result<Function> {
        Function::read(code.parse().expect("test code lexes"), "step")
    }

    #[test]
    fn a_faulty_body_is_none_of_our_faults() {
        let function = read("async fn f() { let = ; 1 + }").expect("the signature is fine");
        assert_eq!(function.body.to_string(), "{ let = ; 1 + }");
    }

    #[test]
    fn what_is_no_function_is_said_so() {
        for code in ["struct S;", "const X: u8 = 1;", "impl S {}", "mod m {}", "extern crate core;", "unsafe impl S {}"]
        {
            let fault = read(code).err().expect("it is no function");
            assert_eq!(fault.to_string(), "`#[step]` goes on a function", "{code}");
        }
        assert!(read("pub(crate) async unsafe extern \"C\" fn f() {}").is_ok());
    }

    #[test]
    fn an_own_impl_block_may_say_self() {
        let speaks = |code: &str| read(code).expect("test code parses").mention_of_self().is_some();
        assert!(speaks("fn f() -> u32 { Self::COUNT }"));
        assert!(speaks("fn f() { println!(\"{}\", Self::COUNT) }"));
        assert!(speaks("fn f(x: impl Fn(), y: Self) {}"));
        assert!(speaks("fn f() { struct S; impl S { fn new() -> Self { Self } } Self::go() }"));
        assert!(!speaks("fn f() { struct S; impl Default for S { fn default() -> Self { Self } } self::go() }"));
        assert!(!speaks("fn f() { trait T: Sized { fn new() -> Self; } }"));
    }

    #[test]
    fn a_fault_in_the_output_underlines_the_value() {
        let value = |code: &str| read(code).expect("test code parses").returned_value().to_string();
        assert_eq!(value("fn f() -> durable::Result<Receipt> {}"), "Receipt");
        assert_eq!(value("fn f() -> Receipt {}"), "Receipt");
        assert_eq!(value("fn f() -> Result<u8, Declined> {}"), "Result < u8 , Declined >");
        assert_eq!(value("fn f() {}"), "f");
    }
}
