//! `#[step]`: a function that claims its place in the workflow when it is called, and runs when it is awaited.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ReturnType, parse_quote};

use super::halves::{Halves, Parts};
use super::{as_written, codec, ends, lints_of_lifetimes, name, options_value};
use crate::function::Function;
use crate::lifetimes::{self, Named};
use crate::options::Options;
use crate::types::Found;

// Input:
//     #[step(retries = 10)]
//     async fn call_api(data: &str, n: u32) -> Result<String> { .. }
// Output:
//     fn call_api<'durable>(data: &'durable str, n: u32) -> StepCall<'durable, Result<String>> {
//         async fn __body(data: &str, n: u32) -> Result<String> { .. }
//         static __STEP: Step = Step { name: "call_api", options: StepOptions { retries: 10, ..StepOptions::DEFAULT } };
//         let arguments = (data, n);
//         step(&__STEP, codec!(Result<String>), cloner!(&arguments), arguments, |(data, n)| __body(data, n))
//     }
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let (halves, outer_lints) = halves(function, options, function.sig.asyncness.is_none());
    let place = function.sig.ident.span();
    let name = name(function, options);
    let facade = options.facade();
    let (durable, durable_here) = (&facade, facade.at(place));
    let codec = codec(function, &facade);

    // Inside the closure `self` is an argument like any other.
    let this = Ident::new("this", Span::mixed_site());
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    if let Some(receiver) = function.sig.receiver() {
        given.push(receiver.self_token.to_token_stream());
        taken.push(this);
    }
    for argument in function.arguments() {
        given.push(argument.name.to_token_stream());
        taken.push(argument.name);
    }
    let (given, pattern) = (quote!((#(#given,)*)), quote!((#(#taken,)*)));
    let inner = halves.inner_path();
    let inner = quote_spanned!(place=> #inner(#(#taken),*));
    let (body, inner_lints) = if function.sig.asyncness.is_some() {
        // It is async so that it can borrow, whether it awaits or not.
        (quote_spanned!(place=> |#pattern| #inner), quote!(clippy::unused_async))
    } else {
        // It takes arguments that it only looks at, and what it computes is for the blocking pool.
        let lint = taken.is_empty().then(|| quote!(#[allow(clippy::redundant_closure)]));
        let body = quote_spanned!(place=> |#pattern| #durable_here::__private::blocking(#lint move || #inner));
        (body, quote!(clippy::needless_pass_by_value, clippy::missing_const_for_fn))
    };

    let arguments = Ident::new("arguments", Span::mixed_site());
    let cloner = if let Some(place) = options.retries() {
        // What cannot be given to each of several attempts is a fault, told where they are asked for.
        quote_spanned!(place=> ::core::option::Option::Some(::core::clone::Clone::clone))
    } else {
        quote!(#durable::__private::cloner!(&#arguments))
    };
    // A function that is none for these errors is told where it is named.
    let retry_if = options.value("retry_if").map(|path| quote_spanned!(ends(path).0=> .retry_if(#path)));
    let options = options_value(options.fields(), &quote!(#durable::__private::StepOptions));
    let call = quote_spanned! {place=>
        #durable_here::__private::step(&__STEP, #codec, #cloner, #arguments, #body)
    };
    halves.emit(&Parts {
        outer_lints,
        // What is said of the signature is said once, of the outer half.
        inner_lints: quote!(#[allow(clippy::too_many_arguments, clippy::type_complexity, #inner_lints)]),
        body: quote! {
            #[allow(clippy::needless_update)]
            static __STEP: #durable::__private::Step = #durable::__private::Step { name: #name, options: #options };
            let #arguments = #given;
            #call #retry_if
        },
        // A step that nobody calls is dead code.
        braces: function.body.span(),
    })
}

/// What callers of a faulty step see: the same call, and the body is still looked at by the compiler.
pub(super) fn stub(function: &Function, options: &Options) -> TokenStream {
    match &function.sig.output {
        ReturnType::Type(_, ty) if !Found::within(ty).unnamed.is_empty() => as_written(function),
        _ => {
            // Even where it blocks: that it borrows then is told already.
            halves(function, options, false).0.emit(&Parts::stub())
        }
    }
}

/// The halves, and the lints that are off in the outer one.
fn halves<'a>(function: &'a Function, options: &Options, blocking: bool) -> (Halves<'a>, TokenStream) {
    let mut halves = Halves::of(function);
    let Named { common, fresh } = lifetimes::give_names(&mut halves.outer, halves.method, blocking);
    // All of it stands where the type does, and so does an error in it.
    let returned = function.returned();
    let (first, last) = ends(&returned);
    let durable = options.facade().at(first);
    let (open, close) = (quote_spanned!(first=> -> #durable::StepCall<), quote_spanned!(last=> >));
    halves.outer.output = parse_quote!(#open #common, #returned #close);
    (halves, lints_of_lifetimes(function, fresh))
}
