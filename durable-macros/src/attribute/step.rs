//! `#[step]`: a function whose call reserves a position in the workflow, and runs when it is awaited.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, ReceiverKind, ReturnType, Type, parse_quote};

use crate::check;
use crate::codegen::{as_written, codec, end_spans, lifetime_lints, options_struct, recorded_name};
use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::lifetimes::{self, NamedLifetimes};
use crate::options::Options;
use crate::split::{Generated, SplitFunction};
use crate::types::{TypeContents, is_certainly_not_result};

// Input:
//     #[step(retries = 10)]
//     async fn call_api(data: &str, n: u32) -> Result<String> { .. }
// Output:
//     fn call_api<'durable>(data: &'durable str, n: u32) -> StepCall<'durable, Result<String>> {
//         async fn __body(data: &str, n: u32) -> Result<String> { .. }
//         static __STEP: Step = Step { name: "call_api", options: StepOptions { retries: 10, ..StepOptions::DEFAULT } };
//         let arguments = (data, n);
//         let mockable = mockable!(&arguments, (data, n,));
//         step(&__STEP, codec!(Result<String>), cloner!(&arguments), mockable, arguments, |(data, n)| __body(data, n))
//     }
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let (split, call_lints) = split(function, options, function.sig.asyncness.is_none());
    let span = function.sig.ident.span();
    let name = recorded_name(function, options);
    let crate_path = options.crate_path();
    let (durable, durable_at_name) = (&crate_path, crate_path.spanned(span));
    let arguments = Ident::new("arguments", Span::mixed_site());
    let codec = codec(function, &crate_path);

    // In the closure `self` is an argument like the others.
    let this = Ident::new("this", Span::mixed_site());
    let (mut values, mut names) = (Vec::new(), Vec::new());
    if let Some(receiver) = function.sig.receiver() {
        values.push(receiver.self_token.to_token_stream());
        names.push(this);
    }
    for argument in function.arguments() {
        values.push(argument.name.to_token_stream());
        names.push(argument.name);
    }
    let (values, pattern) = (quote!((#(#values,)*)), quote!((#(#names,)*)));
    let mockable = Ident::new("mockable", Span::mixed_site());
    let ask_mock = if is_mockable(function) {
        quote!(#durable::__private::mockable!(&#arguments, #pattern))
    } else {
        quote!(::core::option::Option::None)
    };
    let body_path = split.body_path();
    let body_call = quote_spanned!(span=> #body_path(#(#names),*));
    let (body, body_lints) = if function.sig.asyncness.is_some() {
        // An `async fn` without `.await` is fine here: it can still borrow.
        (quote_spanned!(span=> |#pattern| #body_call), quote!(clippy::unused_async))
    } else {
        // Its arguments are owned even if it only reads them, and it runs on the blocking threads even if it could be const.
        let lint = names.is_empty().then(|| quote!(#[allow(clippy::redundant_closure)]));
        let body = quote_spanned!(span=> |#pattern| #durable_at_name::__private::blocking(#lint move || #body_call));
        (body, quote!(clippy::needless_pass_by_value, clippy::missing_const_for_fn))
    };

    let cloner = if let Some(span) = options.retries_span() {
        // The error about arguments that are not `Clone` appears at `retries`.
        quote_spanned!(span=> ::core::option::Option::Some(::core::clone::Clone::clone))
    } else {
        quote!(#durable::__private::cloner!(&#arguments))
    };
    // The error about a function of another type appears where the function is named.
    let retry_if = options.value("retry_if").map(|path| quote_spanned!(end_spans(path).0=> .retry_if(#path)));
    let options = options_struct(options.struct_fields(), &quote!(#durable::__private::StepOptions));
    let call = quote_spanned! {span=>
        #durable_at_name::__private::step(&__STEP, #codec, #cloner, #mockable, #arguments, #body)
    };
    split.expand(&Generated {
        call_lints,
        // Lints about the signature report the call function.
        body_lints: quote!(#[allow(clippy::too_many_arguments, clippy::type_complexity, #body_lints)]),
        statements: quote! {
            #[allow(clippy::needless_update)]
            static __STEP: #durable::__private::Step = #durable::__private::Step { name: #name, options: #options };
            let #arguments = #values;
            let #mockable = #ask_mock;
            #call #retry_if
        },
        // The compiler reports a step that is never called.
        brace_span: function.body.span(),
    })
}

/// Whether a mock can be called with the arguments: they have no other borrows than plain references. A method may
/// be of a generic type, which its attribute does not see.
fn is_mockable(function: &Function) -> bool {
    let has_types = |it: &GenericParam| !matches!(it, GenericParam::Lifetime(_));
    let is_owned = |ty: &Type| {
        let contents = TypeContents::of(ty);
        contents.references.is_empty() && contents.lifetimes.is_empty() && contents.impl_traits.is_empty()
    };
    // The lifetime of a trait object behind a reference is that of the reference.
    let is_object = |ty: &Type| matches!(ty, Type::TraitObject(_) | Type::Paren(_));
    let is_plain = |ty: &Type| match ty {
        Type::Reference(it) => it.mutability.is_none() && !is_object(&it.elem) && is_owned(&it.elem),
        owned => is_owned(owned),
    };
    let few = function.sig.inputs.len() <= 8;
    let is_free = !function.is_associated() && !function.sig.generics.params.iter().any(has_types);
    few && is_free && function.arguments().all(|it| is_plain(it.ty))
}

/// For a step with errors: callers see the same type, and the compiler still checks the body.
pub(super) fn placeholder(function: &Function, options: &Options) -> TokenStream {
    match &function.sig.output {
        ReturnType::Type(_, ty) if !TypeContents::of(ty).impl_traits.is_empty() => as_written(function),
        _ => {
            // Not as a blocking step: that it borrows is reported already.
            split(function, options, false).0.expand(&Generated::placeholder())
        }
    }
}

/// The two functions, and the lint levels of the call function.
fn split<'a>(function: &'a Function, options: &Options, blocking: bool) -> (SplitFunction<'a>, TokenStream) {
    let mut split = SplitFunction::new(function);
    let NamedLifetimes { call, has_single_use } =
        lifetimes::name_lifetimes(&mut split.call, split.body_is_method, blocking);
    // The whole type has the span of the user's return type, and so has an error about it.
    let returned = function.return_type();
    let (first, last) = end_spans(&returned);
    let durable = options.crate_path().spanned(first);
    let (open, close) = (quote_spanned!(first=> -> #durable::StepCall<), quote_spanned!(last=> >));
    split.call.output = parse_quote!(#open #call, #returned #close);
    (split, lifetime_lints(function, has_single_use))
}

pub(super) fn check(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    let is_only_a_step = check::one_attribute(function, options, diagnostics);
    check::qualifiers(function, "a step", diagnostics);
    check::conditional_arguments(function, diagnostics);
    check_owned_if_blocking(function, diagnostics);
    if is_only_a_step {
        check::lost_changes(function, "a step's", None, diagnostics);
    }
    check_retry_if(function, options, diagnostics);
    check::owned_output(function, "a step's", diagnostics);
    check::recorded_name(function, options, diagnostics);
}

/// A blocking step runs on another thread, and may outlive the caller.
fn check_owned_if_blocking(function: &Function, diagnostics: &mut Diagnostics) {
    if function.sig.asyncness.is_some() {
        return;
    }
    if let Some(receiver) = function.sig.receiver() {
        match &receiver.kind {
            ReceiverKind::Reference(_, _, None) => diagnostics.error_on(receiver, BORROWS),
            ReceiverKind::Typed(_, ty) => check_owned(ty, diagnostics),
            _ => {}
        }
    }
    for argument in function.arguments() {
        check_owned(argument.ty, diagnostics);
    }
}

const BORROWS: &str =
    "a step without `async` runs on another thread, so its arguments are owned: take the value, or write `async fn`";

fn check_owned(ty: &Type, diagnostics: &mut Diagnostics) {
    let contents = TypeContents::of(ty);
    // A `&mut` is reported with its own reason.
    for reference in contents.references.into_iter().filter(|it| it.mutability.is_none()) {
        diagnostics.error_on(reference, BORROWS);
    }
    for lifetime in contents.lifetimes {
        diagnostics.error_on(lifetime, BORROWS);
    }
}

/// Rejects `retry_if` on a step without an error.
fn check_retry_if(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    let Some(span) = options.key_span("retry_if") else { return };
    let is_infallible = match &function.sig.output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => is_certainly_not_result(ty),
    };
    if is_infallible {
        let fix = "return a `Result<T, E>`, or remove `retry_if`";
        diagnostics.error_at(span, format!("`retry_if` takes the error of an attempt, and this step has none: {fix}"));
    }
}
