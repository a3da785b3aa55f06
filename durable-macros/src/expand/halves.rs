//! An expanded function has two halves: the outer one is called and returns the value of a call, the inner one holds
//! the user's body under the user's signature.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{FnArg, GenericParam, ReturnType, Safety, Signature, parse_quote};

use crate::attributes::Attributes;
use crate::function::Function;

pub(super) struct Halves<'a> {
    function: &'a Function,
    attributes: Attributes,
    /// The outer half: the same arguments by plain names, and nothing that says how the body runs.
    pub(super) outer: Signature,
    /// The inner half: the user's signature under another name.
    pub(super) inner: Signature,
    /// Whether the inner half is a method beside the outer one, and not a function inside it: only there is `Self` known.
    pub(super) method: bool,
}

impl<'a> Halves<'a> {
    pub(super) fn of(function: &'a Function) -> Self {
        let method = function.sig.receiver().is_some() || function.mention_of_self().is_some();
        let mut inner = function.sig.clone();
        inner.ident = if method {
            format_ident!("__durable_{}", function.sig.ident.unraw(), span = function.sig.ident.span())
        } else {
            Ident::new("__body", function.sig.ident.span())
        };
        Self { function, attributes: Attributes::sort(&function.attrs), outer: outer(function), inner, method }
    }

    /// The path by which the outer half calls the inner one. Lifetimes are left to the compiler.
    pub(super) fn inner_path(&self) -> TokenStream {
        let params = &self.inner.generics.params;
        let given: Vec<&Ident> = params
            .iter()
            .filter_map(|param| match param {
                GenericParam::Type(param) => Some(&param.ident),
                GenericParam::Const(param) => Some(&param.ident),
                GenericParam::Lifetime(_) => None,
            })
            .collect();
        let name = &self.inner.ident;
        let place = self.method.then(|| quote!(Self::));
        let turbofish = (!given.is_empty()).then(|| quote!(::<#(#given),*>));
        quote!(#place #name #turbofish)
    }

    /// Both halves. What is off for lints comes before the user's attributes, so that those win.
    pub(super) fn emit(&self, parts: &Parts) -> TokenStream {
        let Attributes { outer: outer_attributes, inner: inner_attributes } = &self.attributes;
        let (vis, outer, inner, user_body) = (&self.function.vis, &self.outer, &self.inner, &self.function.body);
        let Parts { outer_lints, inner_lints, body, braces } = parts;
        let inner = quote!(#inner_lints #(#inner_attributes)* #inner #user_body);
        let (beside, inside) = if self.method {
            let conditions = self.attributes.conditions();
            (quote!(#(#conditions)* #[doc(hidden)] #[allow(dead_code)] #inner), quote!())
        } else {
            (quote!(), inner)
        };
        let mut block = Group::new(Delimiter::Brace, quote!(#inside #body));
        block.set_span(*braces);
        quote!(#beside #outer_lints #(#outer_attributes)* #vis #outer #block)
    }
}

/// What an expansion adds to the halves.
pub(super) struct Parts {
    /// Lint levels for the outer half; one that is nested in it has them, too.
    pub(super) outer_lints: TokenStream,
    pub(super) inner_lints: TokenStream,
    /// The statements of the outer half.
    pub(super) body: TokenStream,
    /// Where the outer half has its braces. With those of the user's body it is user code to the lints of the compiler.
    pub(super) braces: Span,
}

impl Parts {
    /// For a faulty function. It is never run, and the lints wait until the fault is mended.
    pub(super) fn stub() -> Self {
        Self {
            outer_lints: quote!(#[allow(unused, clippy::all)]),
            inner_lints: quote!(),
            body: quote!(::core::unreachable!()),
            braces: Span::call_site(),
        }
    }
}

fn outer(function: &Function) -> Signature {
    let mut outer = Signature {
        constness: None,
        asyncness: None,
        safety: Safety::Default,
        abi: None,
        variadic: None,
        output: ReturnType::Default,
        ..function.sig.clone()
    };
    let mut names = function.arguments().map(|argument| argument.name);
    for input in &mut outer.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                receiver.attrs.clear();
                receiver.mutability = None;
            }
            FnArg::Typed(typed) => {
                typed.attrs.clear();
                let name = names.next();
                *typed.pat = parse_quote!(#name);
            }
        }
    }
    outer
}
