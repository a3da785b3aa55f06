//! The lifetimes of a step's arguments, which the call value holds until it has run.
//!
//! An `async fn` captures every lifetime of its arguments implicitly. A plain function that returns a named type must
//! name them, and all of them must outlive the lifetime of the returned type.

use proc_macro2::Span;
use syn::visit_mut::{self, VisitMut};
use syn::{
    FnArg, GenericParam, Generics, Lifetime, ParenthesizedGenericArguments, ReceiverKind, Signature, Type, TypeFnPtr,
    TypeImplTrait, TypeReference, parse_quote,
};

/// The result of [`name_lifetimes`].
pub(crate) struct NamedLifetimes {
    /// The lifetime of the call value, which all others outlive. It is `'static` for a blocking step, which runs on
    /// another thread, and for a function without borrows and generics.
    pub(crate) call: Lifetime,
    /// Whether lifetimes were added that are used only once, which a lint reports.
    pub(crate) has_single_use: bool,
}

/// Names every lifetime in the arguments of `signature`.
//
// Input:  async fn f<'a, T: Clone>(&self, x: &str, y: Vec<&u8>, z: &'a T)
// Output: async fn f<'durable, 'arg0: 'durable, 'a: 'durable, T: Clone + 'durable>
//         (&'durable self, x: &'durable str, y: Vec<&'arg0 u8>, z: &'a T)
pub(crate) fn name_lifetimes(signature: &mut Signature, method: bool, blocking: bool) -> NamedLifetimes {
    let span = signature.ident.span();
    let call = lifetime(if blocking { "'static" } else { "'durable" }, span);
    let mut namer = LifetimeNamer { call, added: Vec::new(), borrows: false };
    let mut holds_self = method;
    for input in &mut signature.inputs {
        match input {
            FnArg::Typed(typed) => namer.name_argument(&mut typed.ty),
            FnArg::Receiver(receiver) => match &mut receiver.kind {
                ReceiverKind::Reference(reference, lifetime, _) => {
                    namer.name_outermost(lifetime, reference.span);
                    // The compiler knows that `Self` outlives a reference to it.
                    holds_self = false;
                }
                ReceiverKind::Typed(_, ty) => namer.name_argument(ty),
                _ => {}
            },
        }
    }
    let LifetimeNamer { call, added, borrows } = namer;
    let generics = &mut signature.generics;
    let generic = generics.params.iter().any(|param| !matches!(param, GenericParam::Const(_)));
    if !(borrows || generic || holds_self) {
        return NamedLifetimes { call: lifetime("'static", span), has_single_use: false };
    }
    let named = NamedLifetimes { call: call.clone(), has_single_use: !added.is_empty() };
    add_outlives_bounds(generics, &call);
    for (index, lifetime) in added.into_iter().enumerate() {
        generics.params.insert(index, parse_quote!(#lifetime: #call));
    }
    if call.ident != "static" {
        generics.params.insert(0, parse_quote!(#call));
    }
    if holds_self {
        generics.make_where_clause().predicates.push(parse_quote!(Self: #call));
    }
    named
}

/// Makes the user's lifetime and type parameters outlive the call value.
fn add_outlives_bounds(generics: &mut Generics, call: &Lifetime) {
    for param in &mut generics.params {
        match param {
            GenericParam::Lifetime(param) => param.bounds.push(call.clone()),
            GenericParam::Type(param) => param.bounds.push(parse_quote!(#call)),
            GenericParam::Const(_) => {}
        }
    }
}

struct LifetimeNamer {
    call: Lifetime,
    /// The lifetimes that were added, in the order of the arguments.
    added: Vec<Lifetime>,
    borrows: bool,
}

impl LifetimeNamer {
    /// An argument that is itself a reference gets the call's lifetime, because the compiler shortens it at the call;
    /// that keeps the signature short, and the function usable as `for<'a> Fn(&'a str)`.
    fn name_argument(&mut self, ty: &mut Type) {
        if let Type::Reference(reference) = ty {
            self.name_outermost(&mut reference.lifetime, reference.and_token.span);
        }
        self.visit_type_mut(ty);
    }

    fn name_outermost(&mut self, slot: &mut Option<Lifetime>, span: Span) {
        self.borrows = true;
        if slot.as_ref().is_none_or(|it| it.ident == "_") {
            *slot = Some(lifetime(&self.call.to_string(), span));
        }
    }

    /// Deeper inside a type the compiler cannot always shorten a lifetime, so each one there is a parameter of its own.
    fn add_parameter(&mut self, span: Span) -> Lifetime {
        let lifetime = lifetime(&format!("'arg{}", self.added.len()), span);
        self.added.push(lifetime.clone());
        self.borrows = true;
        lifetime
    }
}

impl VisitMut for LifetimeNamer {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference.lifetime.is_none() {
            reference.lifetime = Some(self.add_parameter(reference.and_token.span));
        }
        visit_mut::visit_type_reference_mut(self, reference);
        // `&'a impl Trait + 'durable` would be ambiguous.
        if let Type::ImplTrait(element) = &*reference.elem {
            *reference.elem = parse_quote!((#element));
        }
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = self.add_parameter(lifetime.span());
        }
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        visit_mut::visit_type_impl_trait_mut(self, ty);
        let call = &self.call;
        ty.bounds.push(parse_quote!(#call));
        self.borrows = true;
    }

    // Lifetimes elided in `fn(&T)` and `Fn(&T)` belong to the function that is passed.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}

/// A lifetime with the hygiene of the expansion, so that no lint or suggestion is about its name.
fn lifetime(name: &str, span: Span) -> Lifetime {
    Lifetime::new(name, Span::call_site().located_at(span))
}

#[cfg(test)]
mod tests {
    use quote::{ToTokens, quote};

    use super::*;

    fn check(code: Signature, method: bool, signature: &str, call: &str) {
        let mut named = code;
        let blocking = named.asyncness.is_none();
        assert_eq!(name_lifetimes(&mut named, method, blocking).call.to_string(), call);
        let expected: Signature = syn::parse_str(signature).expect("test code parses");
        assert_eq!(named.to_token_stream().to_string(), quote!(#expected).to_string());
    }

    #[test]
    fn owned_arguments_are_not_changed() {
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
    fn outermost_references_share_a_lifetime_and_nested_ones_get_their_own() {
        check(
            parse_quote!(async fn f<'a, T: Clone>(&self, x: &str, y: Vec<&u8>, z: &'a T, w: Cow<'_, str>)),
            true,
            "async fn f<'durable, 'arg0: 'durable, 'arg1: 'durable, 'a: 'durable, T: Clone + 'durable> \
             (&'durable self, x: &'durable str, y: Vec<&'arg0 u8>, z: &'a T, w: Cow<'arg1, str>)",
            "'durable",
        );
    }

    #[test]
    fn impl_trait_arguments_outlive_the_call() {
        check(
            parse_quote!(async fn f(x: &impl Display, g: Box<dyn Fn(&u8)>)),
            false,
            "async fn f<'durable>(x: &'durable (impl Display + 'durable), g: Box<dyn Fn(&u8)>)",
            "'durable",
        );
    }

    #[test]
    fn a_method_that_takes_self_by_value_bounds_self() {
        check(
            parse_quote!(async fn f(self: Arc<Self>)),
            true,
            "async fn f<'durable>(self: Arc<Self>) where Self: 'durable",
            "'durable",
        );
        check(parse_quote!(fn f<T>(self, t: T)), true, "fn f<T: 'static>(self, t: T) where Self: 'static", "'static");
    }
}
