//! `#[workflow]`: a function that starts the workflow, and an entry in the registry by which a restart finds the body.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{ReturnType, Token, Type, parse_quote};

use super::halves::{Halves, Parts};
use super::{as_written, codec, ends, name, options_value};
use crate::attributes;
use crate::fingerprint;
use crate::function::Function;
use crate::options::Options;
use crate::schedule::Schedule;
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
// With `#[scheduled("0 2 * * *")]` below it:
//         inventory::submit!(RegisteredSchedule(Schedule { workflow: &__WORKFLOW.0, cron: "0 2 * * *", .. }));
//
// Arguments are written and read in one place, the static: the compiler tells an error of a type once in one place.
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let name = name(function, options);
    let schedule = Schedule::of(function, options);
    let mut function = function.clone();
    let facade = options.facade().name();
    function.attrs.retain(|attribute| !attributes::is_scheduled(attribute, &facade));
    Entry { function: &function, options, name, instance: None, schedule }.expand()
}

/// A method of an instance: `call` is `call_on(.., self, ..)`, and `run` asks the engine for the instance first.
pub(super) fn expand_method(function: &Function, options: &Options, instance: &Type, type_name: &str) -> TokenStream {
    let whole = || format!("{type_name}::{}", function.name()).into_token_stream();
    let name = options.value("name").cloned().unwrap_or_else(whole);
    Entry { function, options, name, instance: Some(instance), schedule: None }.expand()
}

/// What the expansion is made of.
struct Entry<'a> {
    function: &'a Function,
    options: &'a Options,
    name: TokenStream,
    instance: Option<&'a Type>,
    schedule: Option<Schedule>,
}

impl Entry<'_> {
    fn expand(&self) -> TokenStream {
        let Self { function, options, name, .. } = self;
        let halves = halves(function, options);
        let place = function.sig.ident.span();
        let facade = options.facade();
        let durable = &facade;
        let options = options_value(options.fields(), &quote!(#durable::__private::WorkflowOptions));
        let fingerprint = fingerprint::of(function);
        // The line of the function, not of the attribute.
        let line = quote_spanned!(place=> ::core::line!());
        let (taken, run) = self.run(&halves);
        let written = function.arguments().map(|argument| {
            let (name, key, ty) = (&argument.name, argument.name.unraw().to_string(), argument.ty);
            quote!(.with::<#ty>(#key, #name))
        });
        let names: Vec<Ident> = function.arguments().map(|argument| argument.name).collect();
        let types = function.arguments().map(|argument| argument.ty);
        let (call, schedule) = (self.call(&names), self.schedule());
        // The registry's entry cannot say `Self`, and the signature is the same in all places.
        let use_self = self.instance.map(|_| quote!(, clippy::use_self));
        halves.emit(&Parts {
            // Workflows are started by name as well, by queues, schedules and recovery. The type of a call is ours.
            outer_lints: quote!(#[allow(dead_code, clippy::type_complexity #use_self)]),
            // It has to be async, whether it awaits or not. That there are many arguments is said once, of the outer half.
            inner_lints: quote!(#[allow(clippy::too_many_arguments, clippy::unused_async #use_self)]),
            body: quote! {
                #[allow(clippy::needless_update)]
                static __WORKFLOW: (
                    #durable::__private::Workflow,
                    fn(#(&#types),*) -> #durable::__private::Arguments,
                ) = (
                    #durable::__private::Workflow {
                        name: #name,
                        module: ::core::module_path!(),
                        file: ::core::file!(),
                        line: #line,
                        fingerprint: #fingerprint,
                        options: #options,
                        run: |#taken| #run,
                    },
                    |#(#names),*| #durable::__private::Arguments::new() #(#written)*,
                );
                #durable::__private::inventory::submit!(#durable::__private::Registered(&__WORKFLOW.0));
                #schedule
                #call
            },
            // A lint for user code would say that the arguments, which are only written down here, should be borrowed.
            braces: Span::call_site(),
        })
    }

    /// How the engine runs the body: the name of the arguments that it has, and what it does with them.
    fn run(&self, halves: &Halves<'_>) -> (Ident, TokenStream) {
        let taken = Ident::new("arguments", Span::mixed_site());
        let read = self.function.arguments().map(|argument| {
            let (key, ty) = (argument.name.unraw().to_string(), argument.ty);
            // An error of the type would show this place, too.
            let take = Ident::new("take", ends(&ty.to_token_stream()).0);
            quote!(#taken.#take::<#ty>(#key)?)
        });
        let place = self.function.sig.ident.span();
        let facade = self.options.facade();
        let (codec, durable) = (codec(self.function, &facade), facade.at(place));
        // A body that cannot move between threads is told at the function's name.
        let run = if let Some(instance) = self.instance {
            let this = Ident::new("this", Span::mixed_site());
            let names: Vec<Ident> = self.function.arguments().map(|argument| argument.name).collect();
            let inner = &halves.inner.ident;
            let body = quote_spanned!(place=> async move { <#instance>::#inner(&#this, #(#names),*).await });
            let run = quote_spanned!(place=> #durable::__private::run(#codec, #body));
            quote! {{
                let #this = #taken.instance::<#instance>()?;
                #(let #names = #read;)*
                ::core::result::Result::Ok(#run)
            }}
        } else {
            let inner = halves.inner_path();
            let run = quote_spanned!(place=> #durable::__private::run(#codec, #inner(#(#read),*)));
            quote!(::core::result::Result::Ok(#run))
        };
        (taken, run)
    }

    /// The entry by which the engine knows when to start it.
    fn schedule(&self) -> TokenStream {
        let Some(Schedule { cron, options }) = &self.schedule else { return quote!() };
        let durable = self.options.facade();
        let value = |key: &str, default: TokenStream| options.value(key).cloned().unwrap_or(default);
        let (tz, misfire) = (value("tz", quote!("UTC")), value("misfire", quote!(Skip)));
        let overlap = value("overlap", quote!(Allow));
        quote! {
            #durable::__private::inventory::submit!(#durable::__private::RegisteredSchedule(
                #durable::__private::Schedule {
                    workflow: &__WORKFLOW.0,
                    cron: #cron,
                    tz: #tz,
                    misfire: #durable::__private::Misfire::#misfire,
                    overlap: #durable::__private::Overlap::#overlap,
                    arguments: __WORKFLOW.1,
                }
            ));
        }
    }

    /// What the caller gets. A function that returns no `Result` is told at the type.
    fn call(&self, names: &[Ident]) -> TokenStream {
        let returned = self.function.returned();
        let (first, last) = ends(&returned);
        let facade = self.options.facade();
        let (codec, durable) = (codec(self.function, &facade), facade.at(first));
        let (call, this) = match self.instance {
            None => (quote_spanned!(first=> #durable::__private::call::<#returned>), None),
            // A type that is no instance is told where the block names it, however many workflows there are.
            Some(ty) => {
                let call_on = quote_spanned!(first=> #durable::__private::call_on::<#returned, #ty>);
                (call_on, self.function.sig.receiver().map(|receiver| &receiver.self_token))
            }
        };
        let this = this.map(|this| quote!(#this,));
        let arguments = quote!(&__WORKFLOW.0, #codec, #this (__WORKFLOW.1)(#(&#names),*));
        let mut given = Group::new(Delimiter::Parenthesis, arguments);
        given.set_span(last);
        quote!(#call #given)
    }
}

/// What callers of a faulty workflow see: the same call, and the body is still looked at by the compiler.
pub(super) fn stub(function: &Function, options: &Options) -> TokenStream {
    let unnamed = matches!(&function.sig.output, ReturnType::Type(_, ty) if !Found::within(ty).unnamed.is_empty());
    let mut halves = halves(function, options);
    if unnamed {
        return as_written(function);
    }
    halves.inner.asyncness.get_or_insert_with(<Token![async]>::default);
    halves.emit(&Parts::stub())
}

fn halves<'a>(function: &'a Function, options: &Options) -> Halves<'a> {
    let mut halves = Halves::of(function);
    let facade = options.facade();
    halves.outer.output = match &function.sig.output {
        // Without a `Result` there is a fault, and this is what its message asks for.
        ReturnType::Default => parse_quote!(-> #facade::WorkflowCall<(), #facade::Error>),
        ReturnType::Type(_, ty) if is_no_result(ty) => parse_quote!(-> #facade::WorkflowCall<#ty, #facade::Error>),
        // All of it stands where the type does, and so does an error in it.
        ReturnType::Type(_, ty) => {
            let (first, last) = ends(&ty.to_token_stream());
            let (durable, durable_last) = (facade.at(first), facade.at(last));
            let call = quote_spanned!(first=> -> #durable::WorkflowCall);
            let open = quote_spanned!(first=> <);
            let ok = quote_spanned!(last=> as #durable_last::__private::Returned>::Ok);
            let err = quote_spanned!(last=> as #durable_last::__private::Returned>::Err);
            let close = quote_spanned!(last=> >);
            parse_quote!(#call #open #open #ty #ok, #open #ty #err #close)
        }
    };
    halves
}
