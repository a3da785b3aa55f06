//! `#[scheduled]`: a crontab expression and options for the workflow below it.
//!
//! The attribute only moves itself below `#[workflow]`, which reads it with [`Schedule`] and expands both: the registry
//! entry of a schedule refers to that of its workflow.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, GenericArgument, LitStr, Meta, PathArguments, Type, parse_quote};

use crate::codegen::as_written;
use crate::cron::Crontab;
use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::options::{Options, SCHEDULED};
use crate::user_attributes;

const ARGUMENTS: &str = "(scheduled: DateTime<Utc>, actual: DateTime<Utc>)";

// Input, if it is above `#[workflow]` and so expands first:
//     #[scheduled("0 2 * * *")]
//     #[workflow]
//     async fn backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<()> { .. }
// Output:
//     #[workflow]
//     #[scheduled("0 2 * * *")]
//     async fn backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<()> { .. }
pub(crate) fn scheduled(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut function = match Function::parse_item(item.clone(), "scheduled") {
        Ok(function) => function,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#error #item);
        }
    };
    // The crate may be renamed, so any `workflow` is taken for durable's.
    let is_workflow =
        |attribute: &Attribute| user_attributes::last_segment(attribute).is_some_and(|it| it == "workflow");
    if let Some(index) = function.attrs.iter().position(is_workflow) {
        function.attrs.insert(index + 1, parse_quote!(#[scheduled(#options)]));
        let Function { attrs, vis, sig, body } = function;
        return quote!(#(#attrs)* #vis #sig #body);
    }
    let mut diagnostics = Diagnostics::new();
    let schedule = Schedule::parse(options, Span::call_site(), &mut diagnostics);
    let crate_name = schedule.map_or_else(|| "durable".to_owned(), |it| it.options.crate_path().last_segment());
    report_missing_workflow(&function, &crate_name, &mut diagnostics);
    let errors = diagnostics.into_compile_error();
    let function = as_written(&function);
    quote!(#errors #function)
}

fn report_missing_workflow(function: &Function, crate_name: &str, diagnostics: &mut Diagnostics) {
    let name = &function.sig.ident;
    match function.attrs.iter().find_map(|it| user_attributes::durable_attribute(it, crate_name)) {
        Some(other) => {
            let fix = "schedule a workflow that calls this one";
            diagnostics.error_on(name, format!("`#[scheduled]` goes on a workflow, and this is a {other}: {fix}"));
        }
        None => diagnostics.error_on(name, "`#[scheduled]` goes on a workflow: write `#[workflow]` below it"),
    }
}

/// A parsed `#[scheduled]`.
pub(crate) struct Schedule {
    pub(crate) cron: LitStr,
    pub(crate) options: Options,
}

impl Schedule {
    /// Parses the attribute's arguments. An error about missing arguments appears at `attribute_span`.
    fn parse(arguments: TokenStream, attribute_span: Span, diagnostics: &mut Diagnostics) -> Option<Self> {
        const FORM: &str = r#"`#[scheduled]` starts with a crontab expression in quotes: `#[scheduled("0 2 * * *")]`"#;
        let first = arguments.clone().into_iter().next().map_or(attribute_span, |token| token.span());
        let parser = |input: ParseStream<'_>| {
            let cron: LitStr = input.parse()?;
            if !input.is_empty() && input.parse::<Option<syn::Token![,]>>()?.is_none() {
                return Err(input.error("expected a comma between the expression and the options"));
            }
            Ok((cron, input.parse::<TokenStream>()?))
        };
        if !matches!(syn::parse2(arguments.clone().into_iter().take(1).collect()), Ok(syn::Lit::Str(_))) {
            diagnostics.error_at(first, FORM);
            return None;
        }
        match parser.parse2(arguments) {
            Ok((cron, options)) => {
                check_expression(&cron, diagnostics);
                Some(Self { options: SCHEDULED.parse(options, diagnostics), cron })
            }
            Err(error) => {
                diagnostics.push(error);
                None
            }
        }
    }

    /// The schedule of a workflow that passed [`check`].
    pub(super) fn of(function: &Function, options: &Options) -> Option<Self> {
        let crate_name = options.crate_path().last_segment();
        let attribute = function.attrs.iter().find(|it| user_attributes::is_scheduled(it, &crate_name))?;
        let mut diagnostics = Diagnostics::new();
        let schedule = Self::parse(arguments_of(attribute), Span::call_site(), &mut diagnostics);
        // `check` has reported them.
        diagnostics.discard();
        schedule
    }
}

/// The tokens between the parentheses of an attribute.
fn arguments_of(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    }
}

fn check_expression(cron: &LitStr, diagnostics: &mut Diagnostics) {
    match Crontab::parse(&cron.value()) {
        Ok(crontab) if crontab.is_never() => {
            diagnostics.error_on(cron, "this schedule is never due: none of its months has such a day");
        }
        Ok(_) => {}
        Err(error) => diagnostics.error_on(cron, error.to_string()),
    }
}

/// Checks the schedules of a workflow that is a free function.
pub(super) fn check(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    let crate_name = options.crate_path().last_segment();
    let mut schedules = function.attrs.iter().filter(|it| user_attributes::is_scheduled(it, &crate_name));
    let Some(schedule) = schedules.next() else { return };
    Schedule::parse(arguments_of(schedule), schedule.path().span(), diagnostics);
    for second in schedules {
        let fix = "list all its times in one expression, or schedule a second workflow that calls this one";
        diagnostics.error_on(second.path(), format!("a workflow has one schedule: {fix}"));
    }
    // A workflow with `self` is rejected with or without a schedule.
    if function.sig.receiver().is_none() {
        check_arguments(function, diagnostics);
    }
}

/// Rejects schedules on the workflows of an instance.
pub(super) fn check_instance(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    let crate_name = options.crate_path().last_segment();
    for schedule in function.attrs.iter().filter(|it| user_attributes::is_scheduled(it, &crate_name)) {
        let fix = "schedule a workflow without `self` that calls this one";
        let message = format!("a schedule does not know on which instance to call a workflow with `self`: {fix}");
        diagnostics.error_on(schedule.path(), message);
    }
}

/// The two times are passed by position, and recorded under the names of the arguments.
fn check_arguments(function: &Function, diagnostics: &mut Diagnostics) {
    let surplus: Vec<&FnArg> = function.sig.inputs.iter().skip(2).collect();
    let form = || format!("a scheduled workflow takes the time it was due and the time it starts: `{ARGUMENTS}`");
    if function.sig.inputs.len() < 2 {
        diagnostics.error_at(function.sig.paren_token.span.join(), form());
    } else if !surplus.is_empty() {
        diagnostics.error_on(quote!(#(#surplus),*), form());
    }
    for argument in function.arguments().take(2).filter(|it| !is_utc_time(it.ty)) {
        diagnostics.error_on(
            argument.ty,
            format!("a scheduled workflow takes two times: write `DateTime<Utc>`, as in `{ARGUMENTS}`"),
        );
    }
}

/// Whether the type is `DateTime<Utc>`, by any path.
fn is_utc_time(ty: &Type) -> bool {
    let Some(last) = last_segment(ty) else { return false };
    match &last.arguments {
        PathArguments::AngleBracketed(zone) if last.ident == "DateTime" && zone.args.len() == 1 => {
            matches!(&zone.args[0], GenericArgument::Type(zone) if last_segment(zone).is_some_and(|it| it.ident == "Utc"))
        }
        _ => false,
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        _ => None,
    }
}
