//! Looks into the types that a user wrote: what is borrowed in them, and what to write instead.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::visit_mut::{self, VisitMut};
use syn::{Lifetime, ParenthesizedGenericArguments, Type, TypeFnPtr, TypeImplTrait, TypeReference, parse_quote};

/// What a type holds that has no name, or is not its own. Each is found once: not again inside one that was found.
#[derive(Default)]
pub(crate) struct Found<'a> {
    pub(crate) references: Vec<&'a TypeReference>,
    /// Lifetimes other than `'static`, as in `Cow<'_, str>`.
    pub(crate) lifetimes: Vec<&'a Lifetime>,
    /// Every `impl Trait`.
    pub(crate) unnamed: Vec<&'a TypeImplTrait>,
}

impl<'a> Found<'a> {
    pub(crate) fn within(ty: &'a Type) -> Self {
        let mut found = Self::default();
        found.visit_type(ty);
        found
    }
}

impl<'a> Visit<'a> for Found<'a> {
    fn visit_type_reference(&mut self, reference: &'a TypeReference) {
        match &*reference.elem {
            Type::ImplTrait(unnamed) => self.unnamed.push(unnamed),
            _ => self.references.push(reference),
        }
    }

    fn visit_type_impl_trait(&mut self, unnamed: &'a TypeImplTrait) {
        self.unnamed.push(unnamed);
    }

    fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
        if lifetime.ident != "static" {
            self.lifetimes.push(lifetime);
        }
    }

    // What `fn(&T)` and `Fn(&T)` borrow is not held by the value.
    fn visit_type_fn_ptr(&mut self, _: &'a TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'a ParenthesizedGenericArguments) {}
}

/// Whether this is a type of the language or the prelude, and surely no `Result`.
pub(crate) fn is_no_result(ty: &Type) -> bool {
    const PLAIN: [&str; 20] = [
        "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "u128", "u16", "u32", "u64", "u8",
        "usize", "String", "Option", "Vec", "Box",
    ];
    match ty {
        Type::Path(path) => {
            path.path.segments.len() == 1 && PLAIN.iter().any(|plain| path.path.segments[0].ident == plain)
        }
        Type::Tuple(_) | Type::Array(_) => true,
        _ => false,
    }
}

/// `PgConnection`, `&mut SqliteConnection`, `sqlx::PgConnection`, `PoolConnection<Postgres>`.
pub(crate) fn looks_like_a_connection(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => looks_like_a_connection(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|it| it.ident.to_string().ends_with("Connection")),
        _ => false,
    }
}

/// How the owned form of what a reference points to is written, where there is one: `Vec<String>` for `[&str]`.
pub(crate) fn owned(referred: &Type) -> Option<String> {
    struct Owned;
    impl VisitMut for Owned {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            visit_mut::visit_type_mut(self, ty);
            if let Type::Reference(reference) = ty
                && let Some(owned) = own(&reference.elem)
            {
                *ty = owned;
            }
        }
    }
    let mut owned = own(referred)?;
    Owned.visit_type_mut(&mut owned);
    Some(show(owned.to_token_stream()))
}

fn own(referred: &Type) -> Option<Type> {
    match referred {
        Type::Slice(slice) => {
            let element = &slice.elem;
            Some(parse_quote!(Vec<#element>))
        }
        Type::TraitObject(_) | Type::ImplTrait(_) => None,
        Type::Path(path) if path.path.is_ident("str") => Some(parse_quote!(String)),
        Type::Path(path) if path.path.segments.last().is_some_and(|it| it.ident == "Path") => {
            Some(parse_quote!(PathBuf))
        }
        other => Some(other.clone()),
    }
}

/// Tokens as they are written by hand, `Vec<(u8, String)>` and not `Vec < (u8 , String) >`.
pub(crate) fn show(tokens: TokenStream) -> String {
    let mut text = String::new();
    let mut apart = false;
    for token in tokens {
        let word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        if apart && word {
            text.push(' ');
        }
        apart = word;
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::Brace => ("{ ", " }"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                text.push_str(open);
                text.push_str(&show(group.stream()));
                text.push_str(close);
            }
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                if matches!(punct.as_char(), ',' | ';') && punct.spacing() == Spacing::Alone {
                    text.push(' ');
                }
            }
            word => text.push_str(&word.to_string()),
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owned_form_of_what_is_borrowed() {
        let owned = |code: &str| owned(&syn::parse_str(code).expect("test code parses"));
        assert_eq!(owned("str").as_deref(), Some("String"));
        assert_eq!(owned("[(u8, &str)]").as_deref(), Some("Vec<(u8, String)>"));
        assert_eq!(owned("std::path::Path").as_deref(), Some("PathBuf"));
        assert_eq!(owned("shop::Order<[u8; 4]>").as_deref(), Some("shop::Order<[u8; 4]>"));
        assert_eq!(owned("Option<Box<dyn Send>>").as_deref(), Some("Option<Box<dyn Send>>"));
        assert_eq!(owned("dyn Send"), None);
    }
}
