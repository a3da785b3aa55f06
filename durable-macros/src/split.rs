//! An annotated function expands to two: the call function has the user's name and returns the call value, and the body
//! function has the user's signature and body.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{FnArg, GenericParam, ReturnType, Safety, Signature, parse_quote};

use crate::function::Function;
use crate::user_attributes::SplitAttributes;

pub(crate) struct SplitFunction<'a> {
    function: &'a Function,
    attributes: SplitAttributes,
    /// The call function's signature: the same arguments with plain names, and no `async` or other qualifier.
    pub(crate) call: Signature,
    /// The body function's signature: the user's, under another name.
    pub(crate) body: Signature,
    /// Whether the body function is a method beside the call function, because it uses `self` or `Self`. Otherwise it
    /// is nested in the call function.
    pub(crate) body_is_method: bool,
}

impl<'a> SplitFunction<'a> {
    pub(crate) fn new(function: &'a Function) -> Self {
        let body_is_method = function.is_associated();
        let mut body = function.sig.clone();
        body.ident = if body_is_method {
            format_ident!("__durable_{}", function.sig.ident.unraw(), span = function.sig.ident.span())
        } else {
            Ident::new("__body", function.sig.ident.span())
        };
        let attributes = SplitAttributes::new(&function.attrs);
        Self { function, attributes, call: call_signature(function), body, body_is_method }
    }

    /// The path of the body function, with its generic arguments. Lifetimes are inferred.
    pub(crate) fn body_path(&self) -> TokenStream {
        let params = &self.body.generics.params;
        let arguments: Vec<&Ident> = params
            .iter()
            .filter_map(|param| match param {
                GenericParam::Type(param) => Some(&param.ident),
                GenericParam::Const(param) => Some(&param.ident),
                GenericParam::Lifetime(_) => None,
            })
            .collect();
        let name = &self.body.ident;
        let self_path = self.body_is_method.then(|| quote!(Self::));
        let turbofish = (!arguments.is_empty()).then(|| quote!(::<#(#arguments),*>));
        quote!(#self_path #name #turbofish)
    }

    /// Both functions. The lint levels of the expansion come before the user's attributes, so that those win.
    pub(crate) fn expand(&self, generated: &Generated) -> TokenStream {
        let SplitAttributes { call_function: call_attributes, body_function: body_attributes } = &self.attributes;
        let (vis, call, body, user_block) = (&self.function.vis, &self.call, &self.body, &self.function.body);
        let Generated { call_lints, body_lints, statements, brace_span } = generated;
        let body = quote!(#body_lints #(#body_attributes)* #body #user_block);
        let (method, nested) = if self.body_is_method {
            let cfg = self.attributes.cfg_attributes();
            (quote!(#(#cfg)* #[doc(hidden)] #[allow(dead_code)] #body), quote!())
        } else {
            (quote!(), body)
        };
        let mut block = Group::new(Delimiter::Brace, quote!(#nested #statements));
        block.set_span(*brace_span);
        quote!(#method #call_lints #(#call_attributes)* #vis #call #block)
    }
}

/// The generated parts of the two functions.
pub(crate) struct Generated {
    /// Lint levels of the call function, and of a body function nested in it.
    pub(crate) call_lints: TokenStream,
    pub(crate) body_lints: TokenStream,
    /// The statements of the call function.
    pub(crate) statements: TokenStream,
    /// The span of the call function's braces. With that of the user's block, the compiler's lints treat the call
    /// function as user code.
    pub(crate) brace_span: Span,
}

impl Generated {
    /// For a function with errors: it has the right type for its callers, and no lint until the errors are fixed.
    pub(crate) fn placeholder() -> Self {
        Self {
            call_lints: quote!(#[allow(unused, clippy::all)]),
            body_lints: quote!(),
            statements: quote!(::core::unreachable!()),
            brace_span: Span::call_site(),
        }
    }
}

fn call_signature(function: &Function) -> Signature {
    let mut call = Signature {
        constness: None,
        asyncness: None,
        safety: Safety::Default,
        abi: None,
        variadic: None,
        output: ReturnType::Default,
        ..function.sig.clone()
    };
    let mut names = function.arguments().map(|argument| argument.name);
    for input in &mut call.inputs {
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
    call
}
