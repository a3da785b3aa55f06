//! `#[workflow]`: a function that starts the workflow, and an entry in the registry by which recovery finds its body.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{ReturnType, Token, Type};

use super::scheduled::{self, Schedule};
use crate::call_type;
use crate::check;
use crate::codegen::{as_written, codec, end_spans, options_struct, recorded_name};
use crate::determinism;
use crate::diagnostics::Diagnostics;
use crate::fingerprint;
use crate::function::Function;
use crate::options::Options;
use crate::split::{Generated, SplitFunction};
use crate::types::TypeContents;
use crate::user_attributes;

// Input:
//     #[workflow(max_recoveries = 5)]
//     pub async fn checkout(mut order: Order, attempt: u32) -> Result<Receipt> { .. }
// Output:
//     pub fn checkout(order: Order, attempt: u32) -> WorkflowCallOf<Result<Receipt>> {
//         async fn __body(mut order: Order, attempt: u32) -> Result<Receipt> { .. }
//         static __WORKFLOW: (Workflow, fn(&Order, &u32) -> Arguments, fn() -> Codec<Result<Receipt>>) = (
//             Workflow { name: "checkout", .., run: |arguments| Ok(run((__WORKFLOW.2)(), __body(arguments.take("order")?, ..))) },
//             |order, attempt| Arguments::new().with("order", order).with("attempt", attempt),
//             || codec!(Result<Receipt>),
//         );
//         inventory::submit!(Registered(&__WORKFLOW.0));
//         call(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)(&order, &attempt))
//     }
// With `#[scheduled("0 2 * * *")]` below it:
//         inventory::submit!(RegisteredSchedule(Schedule { workflow: &__WORKFLOW.0, cron: "0 2 * * *", .. }));
//
// The static is the only place that encodes and decodes arguments and results, so that an error about a type appears once.
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let name = recorded_name(function, options);
    let schedule = Schedule::of(function, options);
    let mut function = function.clone();
    let crate_name = options.crate_path().last_segment();
    function.attrs.retain(|attribute| !user_attributes::is_scheduled(attribute, &crate_name));
    Expansion { function: &function, options, name, instance: None, schedule }.expand()
}

/// A method of an instance: `call` becomes `call_on(.., self, ..)`, and `run` first gets the instance from the engine.
pub(super) fn expand_method(function: &Function, options: &Options, instance: &Type, type_name: &str) -> TokenStream {
    let default_name = || format!("{type_name}::{}", function.name()).into_token_stream();
    let name = options.value("name").cloned().unwrap_or_else(default_name);
    Expansion { function, options, name, instance: Some(instance), schedule: None }.expand()
}

struct Expansion<'a> {
    function: &'a Function,
    options: &'a Options,
    name: TokenStream,
    instance: Option<&'a Type>,
    schedule: Option<Schedule>,
}

impl Expansion<'_> {
    fn expand(&self) -> TokenStream {
        let Self { function, options, name, .. } = self;
        let (split, own_name) = (split(function, options), function.name());
        let span = function.sig.ident.span();
        let crate_path = options.crate_path();
        let durable = &crate_path;
        let options = options_struct(options.struct_fields(), &quote!(#durable::__private::WorkflowOptions));
        let fingerprint = fingerprint::of(function);
        // The line of the function, not of the attribute.
        let line = quote_spanned!(span=> ::core::line!());
        let (parameter, run) = self.run(&split);
        let encoded = function.arguments().map(|argument| {
            let (name, key, ty) = (&argument.name, argument.name.unraw().to_string(), argument.ty);
            quote!(.with::<#ty>(#key, #name))
        });
        let names: Vec<Ident> = function.arguments().map(|argument| argument.name).collect();
        let types = function.arguments().map(|argument| argument.ty);
        let (call, schedule) = (self.call(&names), self.schedule());
        let (returned, codec) = (function.return_type(), codec(function, &crate_path));
        // The registry entry cannot use `Self`, and the signature is the same everywhere.
        let use_self = self.instance.map(|_| quote!(, clippy::use_self));
        split.expand(&Generated {
            // Queues, schedules and recovery start a workflow by name, so it may look unused. The user did not write the
            // type of the call.
            call_lints: quote!(#[allow(dead_code, clippy::type_complexity #use_self)]),
            // An `async fn` without `.await` is fine here. Too many arguments are reported for the call function.
            body_lints: quote!(#[allow(clippy::too_many_arguments, clippy::unused_async #use_self)]),
            statements: quote! {
                #[allow(clippy::needless_update)]
                static __WORKFLOW: (
                    #durable::__private::Workflow,
                    fn(#(&#types),*) -> #durable::__private::Arguments,
                    fn() -> #durable::__private::Codec<#returned>,
                ) = (
                    #durable::__private::Workflow {
                        name: #name,
                        module: ::core::module_path!(),
                        function: #own_name,
                        file: ::core::file!(),
                        line: #line,
                        fingerprint: #durable::__private::Fingerprint::new(#fingerprint),
                        options: #options,
                        run: |#parameter| #run,
                    },
                    |#(#names),*| #durable::__private::Arguments::new() #(#encoded)*,
                    || #codec,
                );
                #durable::__private::inventory::submit!(#durable::__private::Registered(&__WORKFLOW.0));
                #schedule
                #call
            },
            // As user code, the arguments would be reported as passed by value without need.
            brace_span: Span::call_site(),
        })
    }

    /// The closure by which the engine runs the body: its parameter and its expression.
    fn run(&self, split: &SplitFunction<'_>) -> (Ident, TokenStream) {
        let parameter = Ident::new("arguments", Span::mixed_site());
        let decoded = self.function.arguments().map(|argument| {
            let (key, ty) = (argument.name.unraw().to_string(), argument.ty);
            // With the span of the type, because an error about the type shows the method name, too.
            let take = Ident::new("take", end_spans(&ty.to_token_stream()).0);
            quote!(#parameter.#take::<#ty>(#key)?)
        });
        let span = self.function.sig.ident.span();
        let crate_path = self.options.crate_path();
        let (codec, durable) = (self.codec_call(), crate_path.spanned(span));
        // The error about a body that is not `Send` appears at the function's name.
        let run = if let Some(instance) = self.instance {
            let this = Ident::new("this", Span::mixed_site());
            let names: Vec<Ident> = self.function.arguments().map(|argument| argument.name).collect();
            let method = &split.body.ident;
            let body = quote_spanned!(span=> async move { <#instance>::#method(&#this, #(#names),*).await });
            let run = quote_spanned!(span=> #durable::__private::run(#codec, #body));
            quote! {{
                let #this = #parameter.instance::<#instance>()?;
                #(let #names = #decoded;)*
                ::core::result::Result::Ok(#run)
            }}
        } else {
            let body_path = split.body_path();
            let run = quote_spanned!(span=> #durable::__private::run(#codec, #body_path(#(#decoded),*)));
            quote!(::core::result::Result::Ok(#run))
        };
        (parameter, run)
    }

    /// The codec of the static, with the span of the return type: an error about that appears there.
    fn codec_call(&self) -> TokenStream {
        let (first, last) = end_spans(&self.function.return_type());
        let mut arguments = Group::new(Delimiter::Parenthesis, TokenStream::new());
        arguments.set_span(last);
        quote_spanned!(first=> (__WORKFLOW.2) #arguments)
    }

    /// The registry entry of the schedule.
    fn schedule(&self) -> TokenStream {
        let Some(Schedule { cron, options }) = &self.schedule else { return quote!() };
        let durable = self.options.crate_path();
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

    /// The value of the call function. The error about a return type that is not a `Result` appears at the type.
    fn call(&self, names: &[Ident]) -> TokenStream {
        let returned = self.function.return_type();
        let (first, last) = end_spans(&returned);
        let crate_path = self.options.crate_path();
        let (codec, durable) = (self.codec_call(), crate_path.spanned(first));
        let (call, this) = match self.instance {
            None => (quote_spanned!(first=> #durable::__private::call::<#returned>), None),
            // The error about a type that is not an instance appears at the type of the block, once for all workflows.
            Some(ty) => {
                let call_on = quote_spanned!(first=> #durable::__private::call_on::<#returned, #ty>);
                (call_on, self.function.sig.receiver().map(|receiver| &receiver.self_token))
            }
        };
        let this = this.map(|this| quote!(#this,));
        let arguments = quote!(&__WORKFLOW.0, #codec, #this (__WORKFLOW.1)(#(&#names),*));
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(last);
        quote!(#call #arguments)
    }
}

/// For a workflow with errors: callers see the same type, and the compiler still checks the body.
pub(super) fn placeholder(function: &Function, options: &Options) -> TokenStream {
    if matches!(&function.sig.output, ReturnType::Type(_, ty) if !TypeContents::of(ty).impl_traits.is_empty()) {
        return as_written(function);
    }
    let mut split = split(function, options);
    split.body.asyncness.get_or_insert_with(<Token![async]>::default);
    split.expand(&Generated::placeholder())
}

fn split<'a>(function: &'a Function, options: &Options) -> SplitFunction<'a> {
    let mut split = SplitFunction::new(function);
    split.call.output = call_type::workflow_call(function, &options.crate_path());
    split
}

pub(super) fn check(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    check_free_function(function, diagnostics);
    scheduled::check(function, options, diagnostics);
    check_any(function, options, diagnostics);
}

/// The checks of every workflow, with and without an instance.
pub(super) fn check_any(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    check::one_attribute(function, options, diagnostics);
    check::is_async(function, "a workflow", diagnostics);
    check::qualifiers(function, "a workflow", diagnostics);
    check::not_generic(
        function,
        "a workflow cannot be generic, because recovery finds it by its name: write one for each type, or take an `enum`",
        diagnostics,
    );
    check::plain_argument_names(function, diagnostics);
    check::conditional_arguments(function, diagnostics);
    check::owned_arguments(function, diagnostics);
    check::returns_result(function, diagnostics);
    check::owned_output(function, "a workflow's", diagnostics);
    check::recorded_name(function, options, diagnostics);
    if options.value("nondeterminism").is_none() {
        determinism::check(&function.body, diagnostics);
    }
}

/// Rejects `self` and `Self`: recovery has no object on which it could call a method.
fn check_free_function(function: &Function, diagnostics: &mut Diagnostics) {
    if let Some(receiver) = function.sig.receiver() {
        let fix = "put `#[durable::instance]` on the `impl` block";
        let message = format!("a workflow with `self` belongs to an instance that recovery finds by its name: {fix}");
        diagnostics.error_on(receiver, message);
    } else if let Some(span) = function.self_type_span() {
        let fix = "write the type, or take `&self` and put `#[durable::instance]` on the `impl` block";
        diagnostics.error_at(span, format!("a workflow without `self` cannot use `Self`: {fix}"));
    }
}
