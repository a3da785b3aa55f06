//! An expanded function has two halves: the outer one is called and returns the value of a call, the inner one holds
//! the user's body under the user's signature.

use proc_macro2::{Ident, TokenStream};
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

    /// Both halves. The outer one has the body given here, and each has its attributes first, so that the user's win.
    pub(super) fn emit(&self, outer_lints: &TokenStream, inner_lints: &TokenStream, body: &TokenStream) -> TokenStream {
        let Attributes { outer: outer_attributes, inner: inner_attributes } = &self.attributes;
        let (vis, outer, inner, user_body) = (&self.function.vis, &self.outer, &self.inner, &self.function.body);
        if self.method {
            let conditions = self.attributes.conditions();
            quote! {
                #(#conditions)*
                #[doc(hidden)]
                #[allow(dead_code)]
                #inner_lints
                #(#inner_attributes)*
                #inner #user_body

                #outer_lints
                #(#outer_attributes)*
                #vis #outer { #body }
            }
        } else {
            quote! {
                #outer_lints
                #(#outer_attributes)*
                #vis #outer {
                    #inner_lints
                    #(#inner_attributes)*
                    #inner #user_body
                    #body
                }
            }
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
