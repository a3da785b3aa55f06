//! The lifetimes of a step's arguments, which the value that a call returns holds until it has run.
//!
//! An `async fn` captures every lifetime of its arguments without a word in the source. A plain function that returns
//! a named type has to name them, and all of them have to outlive the one that the type has.

use proc_macro2::Span;
use syn::visit_mut::{self, VisitMut};
use syn::{
    FnArg, GenericParam, Generics, Lifetime, ParenthesizedGenericArguments, ReceiverKind, Signature, Type, TypeFnPtr,
    TypeImplTrait, TypeReference, parse_quote,
};

/// What [`give_names`] did.
pub(crate) struct Named {
    /// The lifetime that all others outlive: `'static` for a blocking step, which moves to another thread, and where
    /// nothing is borrowed or generic.
    pub(crate) common: Lifetime,
    /// Whether there are names that are used once. A lint would have them left out again.
    pub(crate) fresh: bool,
}

/// Names every lifetime in the arguments, in place.
//
// Input:  async fn f<'a, T: Clone>(&self, x: &str, y: Vec<&u8>, z: &'a T)
// Output: async fn f<'durable, 'arg0: 'durable, 'a: 'durable, T: Clone + 'durable>
//         (&'durable self, x: &'durable str, y: Vec<&'arg0 u8>, z: &'a T)
pub(crate) fn give_names(signature: &mut Signature, method: bool, blocking: bool) -> Named {
    let place = signature.ident.span();
    let common = named_lifetime(if blocking { "'static" } else { "'durable" }, place);
    let mut naming = Naming { common, fresh: Vec::new(), borrows: false };
    let mut holds_self = method;
    for input in &mut signature.inputs {
        match input {
            FnArg::Typed(typed) => naming.argument(&mut typed.ty),
            FnArg::Receiver(receiver) => match &mut receiver.kind {
                ReceiverKind::Reference(reference, lifetime, _) => {
                    naming.whole(lifetime, reference.span);
                    // A reference is outlived by what it refers to without being told so.
                    holds_self = false;
                }
                ReceiverKind::Typed(_, ty) => naming.argument(ty),
                _ => {}
            },
        }
    }
    let Naming { common, fresh, borrows } = naming;
    let generics = &mut signature.generics;
    let generic = generics.params.iter().any(|param| !matches!(param, GenericParam::Const(_)));
    if !(borrows || generic || holds_self) {
        return Named { common: named_lifetime("'static", place), fresh: false };
    }
    let named = Named { common: common.clone(), fresh: !fresh.is_empty() };
    outlive(generics, &common);
    for (position, lifetime) in fresh.into_iter().enumerate() {
        generics.params.insert(position, parse_quote!(#lifetime: #common));
    }
    if common.ident != "static" {
        generics.params.insert(0, parse_quote!(#common));
    }
    if holds_self {
        generics.make_where_clause().predicates.push(parse_quote!(Self: #common));
    }
    named
}

/// Every lifetime and type that the user named outlives the call, too.
fn outlive(generics: &mut Generics, common: &Lifetime) {
    for param in &mut generics.params {
        match param {
            GenericParam::Lifetime(param) => param.bounds.push(common.clone()),
            GenericParam::Type(param) => param.bounds.push(parse_quote!(#common)),
            GenericParam::Const(_) => {}
        }
    }
}

struct Naming {
    common: Lifetime,
    fresh: Vec<Lifetime>,
    borrows: bool,
}

impl Naming {
    /// An argument that is a reference as a whole can have the common lifetime itself, since the compiler shortens it
    /// at the call; that keeps the signature short and the function usable as `for<'a> Fn(&'a str)`.
    fn argument(&mut self, ty: &mut Type) {
        if let Type::Reference(reference) = ty {
            self.whole(&mut reference.lifetime, reference.and_token.span);
        }
        self.visit_type_mut(ty);
    }

    fn whole(&mut self, lifetime: &mut Option<Lifetime>, place: Span) {
        self.borrows = true;
        if lifetime.as_ref().is_none_or(|it| it.ident == "_") {
            *lifetime = Some(named_lifetime(&self.common.to_string(), place));
        }
    }

    /// Deeper inside a type the compiler cannot always shorten it, so each place has a lifetime of its own.
    fn fresh(&mut self, place: Span) -> Lifetime {
        let lifetime = named_lifetime(&format!("'arg{}", self.fresh.len()), place);
        self.fresh.push(lifetime.clone());
        self.borrows = true;
        lifetime
    }
}

impl VisitMut for Naming {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference.lifetime.is_none() {
            reference.lifetime = Some(self.fresh(reference.and_token.span));
        }
        visit_mut::visit_type_reference_mut(self, reference);
        // `&'a impl Trait + 'durable` would be ambiguous.
        if let Type::ImplTrait(element) = &*reference.elem {
            *reference.elem = parse_quote!((#element));
        }
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.fresh(lifetime.span());
        }
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        visit_mut::visit_type_impl_trait_mut(self, ty);
        let common = &self.common;
        ty.bounds.push(parse_quote!(#common));
        self.borrows = true;
    }

    // Lifetimes left out in `fn(&T)` and `Fn(&T)` are of the function that is passed, not of its caller.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}

/// A lifetime of the expansion: lints and suggestions about names leave it alone.
fn named_lifetime(name: &str, place: Span) -> Lifetime {
    Lifetime::new(name, Span::call_site().located_at(place))
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};

    use super::*;

    fn check(code: Signature, method: bool, signature: &str, common: &str) {
        let mut named = code;
        let blocking = named.asyncness.is_none();
        assert_eq!(give_names(&mut named, method, blocking).common.to_string(), common);
        let expected: Signature = syn::parse_str(signature).expect("test code parses");
        assert_eq!(named.to_token_stream().to_string(), quote!(#expected).to_string());
    }

    #[test]
    fn owned_arguments_stay_as_they_are() {
        check(parse_quote!(async fn f(a: String, n: u32)), false, "async fn f(a: String, n: u32)", "'static");
        check(parse_quote!(async fn f<const N: usize>()), false, "async fn f<const N: usize>()", "'static");
        check(
            parse_quote!(async fn f(a: fn(&u8), b: &'static str)),
            false,
            "async fn f<'durable>(a: fn(&u8), b: &'static str)",
            "'durable",
        );
    }

    #[test]
    fn whole_references_share_and_deeper_ones_have_their_own() {
        check(
            parse_quote!(async fn f<'a, T: Clone>(&self, x: &str, y: Vec<&u8>, z: &'a T, w: Cow<'_, str>)),
            true,
            "async fn f<'durable, 'arg0: 'durable, 'arg1: 'durable, 'a: 'durable, T: Clone + 'durable> \
             (&'durable self, x: &'durable str, y: Vec<&'arg0 u8>, z: &'a T, w: Cow<'arg1, str>)",
            "'durable",
        );
    }

    #[test]
    fn unnamed_types_outlive_the_call_too() {
        check(
            parse_quote!(async fn f(x: &impl Display, g: Box<dyn Fn(&u8)>)),
            false,
            "async fn f<'durable>(x: &'durable (impl Display + 'durable), g: Box<dyn Fn(&u8)>)",
            "'durable",
        );
    }

    #[test]
    fn a_method_without_a_reference_names_its_type() {
        check(
            parse_quote!(async fn f(self: Arc<Self>)),
            true,
            "async fn f<'durable>(self: Arc<Self>) where Self: 'durable",
            "'durable",
        );
        check(parse_quote!(fn f<T>(self, t: T)), true, "fn f<T: 'static>(self, t: T) where Self: 'static", "'static");
    }
}
