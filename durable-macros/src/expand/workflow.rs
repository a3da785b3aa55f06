//! `#[workflow]`: a function that starts the workflow, and an entry in the registry by which a restart finds the body.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{ReturnType, Token, parse_quote};

use super::halves::{Halves, Parts};
use super::{as_written, codec, ends, name, options_value};
use crate::fingerprint;
use crate::function::Function;
use crate::options::Options;
use crate::types::{Found, is_no_result};

// Input:
//     #[workflow(max_recoveries = 5)]
//     pub async fn checkout(mut order: Order, attempt: u32) -> Result<Receipt> { .. }
// Output:
//     pub fn checkout(order: Order, attempt: u32) -> WorkflowCall<Receipt, Error> {
//         async fn __body(mut order: Order, attempt: u32) -> Result<Receipt> { .. }
//         static __WORKFLOW: (Workflow, fn(&Order, &u32) -> Arguments) = (
//             Workflow { name: "checkout", .., run: |arguments| Ok(run(codec!(..), __body(arguments.take("order")?, ..))) },
//             |order, attempt| Arguments::new().with("order", order).with("attempt", attempt),
//         );
//         inventory::submit!(Registered(&__WORKFLOW.0));
//         call(&__WORKFLOW.0, codec!(Result<Receipt>), (__WORKFLOW.1)(&order, &attempt))
//     }
//
// Arguments are written and read in one place, the static: the compiler tells an error of a type once in one place.
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let halves = halves(function);
    let place = function.sig.ident.span();
    let name = name(function, options);
    let returned = function.returned();
    let inner = halves.inner_path();
    let options = options_value(options, &quote!(::durable::__private::WorkflowOptions));
    let fingerprint = fingerprint::of(function);
    let codec = codec(function);
    // The line of the function, not of the attribute.
    let line = quote_spanned!(place=> ::core::line!());

    let taken = Ident::new("arguments", Span::mixed_site());
    let read = function.arguments().map(|argument| {
        let (key, ty) = (argument.name.unraw().to_string(), argument.ty);
        // An error of the type would show this place, too.
        let take = Ident::new("take", ends(&ty.to_token_stream()).0);
        quote!(#taken.#take::<#ty>(#key)?)
    });
    let written = function.arguments().map(|argument| {
        let (name, key, ty) = (&argument.name, argument.name.unraw().to_string(), argument.ty);
        quote!(.with::<#ty>(#key, #name))
    });
    let names: Vec<Ident> = function.arguments().map(|argument| argument.name).collect();
    let types = function.arguments().map(|argument| argument.ty);
    // A body that cannot move between threads is told at the function's name.
    let run = quote_spanned!(place=> ::durable::__private::run(#codec, #inner(#(#read),*)));

    // And one that returns no `Result` is told at the type.
    let (first, last) = ends(&returned);
    let call = quote_spanned!(first=> ::durable::__private::call::<#returned>);
    let mut given = Group::new(Delimiter::Parenthesis, quote!(&__WORKFLOW.0, #codec, (__WORKFLOW.1)(#(&#names),*)));
    given.set_span(last);

    halves.emit(&Parts {
        // Workflows are started by name as well, by queues, schedules and recovery. The type of a call is ours.
        outer_lints: quote!(#[allow(dead_code, clippy::type_complexity)]),
        // It has to be async, whether it awaits or not. That there are many arguments is said once, of the outer half.
        inner_lints: quote!(#[allow(clippy::too_many_arguments, clippy::unused_async)]),
        body: quote! {
            #[allow(clippy::needless_update)]
            static __WORKFLOW: (
                ::durable::__private::Workflow,
                fn(#(&#types),*) -> ::durable::__private::Arguments,
            ) = (
                ::durable::__private::Workflow {
                    name: #name,
                    module: ::core::module_path!(),
                    file: ::core::file!(),
                    line: #line,
                    fingerprint: #fingerprint,
                    options: #options,
                    run: |#taken| ::core::result::Result::Ok(#run),
                },
                |#(#names),*| ::durable::__private::Arguments::new() #(#written)*,
            );
            ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
            #call #given
        },
        // A lint for user code would say that the arguments, which are only written down here, should be borrowed.
        braces: Span::call_site(),
    })
}

/// What callers of a faulty workflow see: the same call, and the body is still looked at by the compiler.
pub(super) fn stub(function: &Function) -> TokenStream {
    let unnamed = matches!(&function.sig.output, ReturnType::Type(_, ty) if !Found::within(ty).unnamed.is_empty());
    let mut halves = halves(function);
    if halves.method || unnamed {
        return as_written(function);
    }
    halves.inner.asyncness.get_or_insert_with(<Token![async]>::default);
    halves.emit(&Parts::stub())
}

fn halves(function: &Function) -> Halves<'_> {
    let mut halves = Halves::of(function);
    halves.outer.output = match &function.sig.output {
        // Without a `Result` there is a fault, and this is what its message asks for.
        ReturnType::Default => parse_quote!(-> ::durable::WorkflowCall<(), ::durable::Error>),
        ReturnType::Type(_, ty) if is_no_result(ty) => parse_quote!(-> ::durable::WorkflowCall<#ty, ::durable::Error>),
        // All of it stands where the type does, and so does an error in it.
        ReturnType::Type(_, ty) => {
            let (first, last) = ends(&ty.to_token_stream());
            let call = quote_spanned!(first=> -> ::durable::WorkflowCall);
            let open = quote_spanned!(first=> <);
            let ok = quote_spanned!(last=> as ::durable::__private::Returned>::Ok);
            let err = quote_spanned!(last=> as ::durable::__private::Returned>::Err);
            let close = quote_spanned!(last=> >);
            parse_quote!(#call #open #open #ty #ok, #open #ty #err #close)
        }
    };
    halves
}
