//! Inspects the types in the user's code: what they borrow, and their owned form for messages.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::visit_mut::{self, VisitMut};
use syn::{Lifetime, ParenthesizedGenericArguments, Type, TypeFnPtr, TypeImplTrait, TypeReference, parse_quote};

/// The borrows and the `impl Trait`s in a type. The contents of one that was found are not searched again.
#[derive(Default)]
pub(crate) struct TypeContents<'a> {
    pub(crate) references: Vec<&'a TypeReference>,
    /// Lifetimes other than `'static`, as in `Cow<'_, str>`.
    pub(crate) lifetimes: Vec<&'a Lifetime>,
    pub(crate) impl_traits: Vec<&'a TypeImplTrait>,
}

impl<'a> TypeContents<'a> {
    pub(crate) fn of(ty: &'a Type) -> Self {
        let mut contents = Self::default();
        contents.visit_type(ty);
        contents
    }
}

impl<'a> Visit<'a> for TypeContents<'a> {
    fn visit_type_reference(&mut self, reference: &'a TypeReference) {
        match &*reference.elem {
            Type::ImplTrait(impl_trait) => self.impl_traits.push(impl_trait),
            _ => self.references.push(reference),
        }
    }

    fn visit_type_impl_trait(&mut self, impl_trait: &'a TypeImplTrait) {
        self.impl_traits.push(impl_trait);
    }

    fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
        if lifetime.ident != "static" {
            self.lifetimes.push(lifetime);
        }
    }

    // A value of the type `fn(&T)` or `Fn(&T)` does not hold that borrow.
    fn visit_type_fn_ptr(&mut self, _: &'a TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'a ParenthesizedGenericArguments) {}
}

/// Whether the type is a well-known one other than `Result`. Any other name may be an alias of `Result`.
pub(crate) fn is_certainly_not_result(ty: &Type) -> bool {
    const WELL_KNOWN: [&str; 20] = [
        "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "u128", "u16", "u32", "u64", "u8",
        "usize", "String", "Option", "Vec", "Box",
    ];
    match ty {
        Type::Path(path) => {
            path.path.segments.len() == 1 && WELL_KNOWN.iter().any(|name| path.path.segments[0].ident == name)
        }
        Type::Tuple(_) | Type::Array(_) => true,
        _ => false,
    }
}

/// Whether the type's name ends in `Connection`: `&mut PgConnection`, `sqlx::SqliteConnection`, `PoolConnection<Postgres>`.
pub(crate) fn looks_like_connection(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => looks_like_connection(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|it| it.ident.to_string().ends_with("Connection")),
        _ => false,
    }
}

/// The owned form of a type behind a reference, as source text: `Vec<String>` for `[&str]`. `None` if it has none.
pub(crate) fn owned_form(referent: &Type) -> Option<String> {
    struct ReplaceReferences;
    impl VisitMut for ReplaceReferences {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            visit_mut::visit_type_mut(self, ty);
            if let Type::Reference(reference) = ty
                && let Some(owned) = to_owned_type(&reference.elem)
            {
                *ty = owned;
            }
        }
    }
    let mut owned = to_owned_type(referent)?;
    ReplaceReferences.visit_type_mut(&mut owned);
    Some(source_text(owned.to_token_stream()))
}

fn to_owned_type(referent: &Type) -> Option<Type> {
    match referent {
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

/// Tokens in the usual layout: `Vec<(u8, String)>`, and not `Vec < (u8 , String) >`.
pub(crate) fn source_text(tokens: TokenStream) -> String {
    let mut text = String::new();
    let mut after_word = false;
    for token in tokens {
        let word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        if after_word && word {
            text.push(' ');
        }
        after_word = word;
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::Brace => ("{ ", " }"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                text.push_str(open);
                text.push_str(&source_text(group.stream()));
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
    fn a_borrowed_type_has_an_owned_form() {
        let owned = |code: &str| owned_form(&syn::parse_str(code).expect("test code parses"));
        assert_eq!(owned("str").as_deref(), Some("String"));
        assert_eq!(owned("[(u8, &str)]").as_deref(), Some("Vec<(u8, String)>"));
        assert_eq!(owned("std::path::Path").as_deref(), Some("PathBuf"));
        assert_eq!(owned("shop::Order<[u8; 4]>").as_deref(), Some("shop::Order<[u8; 4]>"));
        assert_eq!(owned("Option<Box<dyn Send>>").as_deref(), Some("Option<Box<dyn Send>>"));
        assert_eq!(owned("dyn Send"), None);
    }
}
