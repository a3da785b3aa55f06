//! Inspects the types in the user's code: what they borrow, and their owned form for messages.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Lifetime, ParenthesizedGenericArguments, PathArguments, PathSegment, Type, TypeFnPtr, TypeImplTrait, TypeReference,
    parse_quote,
};

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

/// What a function with an argument of this type can change for its caller: through `&mut`, or inside a type such as
/// `Mutex<T>`. The contents of one that was found are not searched again.
#[derive(Default)]
pub(crate) struct MutableParts<'a> {
    pub(crate) references: Vec<&'a TypeReference>,
    /// Types with interior mutability, by their well-known names.
    pub(crate) cells: Vec<&'a PathSegment>,
}

impl<'a> MutableParts<'a> {
    pub(crate) fn of(ty: &'a Type) -> Self {
        let mut parts = Self::default();
        parts.visit_type(ty);
        parts
    }
}

impl<'a> Visit<'a> for MutableParts<'a> {
    fn visit_type_reference(&mut self, reference: &'a TypeReference) {
        if reference.mutability.is_some() {
            self.references.push(reference);
        } else {
            self.visit_type(&reference.elem);
        }
    }

    fn visit_path_segment(&mut self, segment: &'a PathSegment) {
        if has_interior_mutability(segment) {
            self.cells.push(segment);
        } else {
            syn::visit::visit_path_segment(self, segment);
        }
    }

    // A value of the type `fn(&mut T)` or `Fn(&mut T)` does not hold that borrow.
    fn visit_type_fn_ptr(&mut self, _: &'a TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'a ParenthesizedGenericArguments) {}
}

/// Whether a type with this name can be changed through a `&` reference. Names that a program may well use for types
/// of its own, such as `Cell`, count only with generic arguments.
fn has_interior_mutability(segment: &PathSegment) -> bool {
    const GENERIC: [&str; 13] = [
        "Cell",
        "RefCell",
        "UnsafeCell",
        "OnceCell",
        "OnceLock",
        "Mutex",
        "FairMutex",
        "ReentrantMutex",
        "RwLock",
        "AtomicCell",
        "ArcSwap",
        "DashMap",
        "DashSet",
    ];
    let name = segment.ident.to_string();
    let is_generic = !matches!(segment.arguments, PathArguments::None);
    let is_atomic = name.strip_prefix("Atomic").is_some_and(|rest| {
        matches!(rest, "Bool" | "Ptr" | "Usize" | "Isize")
            || (rest.starts_with(['U', 'I']) && rest.len() > 1 && rest[1..].bytes().all(|it| it.is_ascii_digit()))
    });
    is_atomic || (is_generic && GENERIC.contains(&name.as_str()))
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
    fn what_a_type_lets_a_function_change_is_found() {
        let found = |code: &str| {
            let ty = syn::parse_str(code).expect("test code parses");
            let parts = MutableParts::of(&ty);
            parts.references.len() + parts.cells.len()
        };
        for code in [
            "&mut Order",
            "Option<&'a mut Order>",
            "&mut impl Write",
            "(u8, &mut [u8])",
            "&Mutex<Order>",
            "Arc<parking_lot::RwLock<Vec<u8>>>",
            "&[std::cell::Cell<u8>]",
            "&AtomicU64",
            "Arc<AtomicBool>",
            "&mut Mutex<Cell<u8>>",
        ] {
            assert_eq!(found(code), 1, "{code}");
        }
        for code in ["&Order", "Cell", "Vec<Cell>", "fn(&mut u8)", "impl Fn(&mut u8) -> bool", "AtomicUnit", "&Atomic"]
        {
            assert_eq!(found(code), 0, "{code}");
        }
    }

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
