//! Checks of what a function is declared as.

use quote::quote;
use syn::{GenericParam, Safety};

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::options::Options;
use crate::types::TypeContents;
use crate::user_attributes;

/// Rejects a second attribute of durable, and returns whether there is none. That one is not expanded, so that the error
/// appears once.
pub(crate) fn one_attribute(function: &Function, options: &Options, diagnostics: &mut Diagnostics) -> bool {
    let mut is_only_one = true;
    for attribute in &function.attrs {
        if let Some(other) = user_attributes::durable_attribute(attribute, &options.crate_path().last_segment()) {
            let fix = format!("remove `#[{other}]`, or move it to a function that this one calls");
            let message = format!("a function can have one of `#[workflow]`, `#[step]` and `#[transaction]`: {fix}");
            diagnostics.error_on(attribute, message);
            is_only_one = false;
        }
    }
    is_only_one
}

pub(crate) fn is_async(function: &Function, what: &str, diagnostics: &mut Diagnostics) {
    if function.sig.asyncness.is_none() {
        diagnostics.error_on(function.sig.fn_token, format!("{what} is an `async fn`: write `async` before `fn`"));
    }
}

/// Rejects the qualifiers with which the generated code could not call the function.
pub(crate) fn qualifiers(function: &Function, what: &str, diagnostics: &mut Diagnostics) {
    let sig = &function.sig;
    if let Some(token) = &sig.constness {
        diagnostics.error_on(token, format!("{what} cannot be `const`: remove `const`"));
    }
    if let Safety::Unsafe(token) = &sig.safety {
        diagnostics.error_on(token, format!("{what} cannot be `unsafe`: use an `unsafe` block in its body"));
    }
    if let Some(abi) = &sig.abi {
        diagnostics
            .error_on(abi, format!("{what} cannot be `extern`: write a plain function that calls the foreign one"));
    }
    if let Some(variadic) = &sig.variadic {
        diagnostics.error_on(variadic, format!("{what} cannot be variadic: take a `Vec`"));
    }
}

/// Rejects type and const parameters, and `impl Trait` in arguments.
pub(crate) fn not_generic(function: &Function, message: &str, diagnostics: &mut Diagnostics) {
    let generics = &function.sig.generics;
    if generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        let (open, params, close) = (&generics.lt_token, &generics.params, &generics.gt_token);
        diagnostics.error_on(quote!(#open #params #close), message);
    }
    for argument in function.arguments() {
        for impl_trait in TypeContents::of(argument.ty).impl_traits {
            diagnostics.error_on(impl_trait, message);
        }
    }
}
