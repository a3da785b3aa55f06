//! From attribute to tokens: read, check, and then expand, or show the faults.
//!
//! The expansions only quote. What is to be decided is decided before, in [`crate::check`], or later, in the engine.

mod halves;
mod instance;
mod queue;
mod scheduled;
#[cfg(test)]
mod snapshots;
mod step;
mod test;
mod transaction;
mod workflow;

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Token;

pub(crate) use self::instance::instance;
pub(crate) use self::queue::queue;
pub(crate) use self::scheduled::scheduled;

use crate::attributes;
use crate::check;
use crate::facade::Facade;
use crate::faults::Faults;
use crate::function::Function;
use crate::options::{self, Options, Table};

/// What one attribute does.
struct Macro {
    name: &'static str,
    table: Table,
    check: fn(&Function, &Options, &mut Faults),
    expand: fn(&Function, &Options) -> TokenStream,
    /// The expansion of a faulty function: callers see the same type, so that nothing lights up but the fault.
    stub: fn(&Function, &Options) -> TokenStream,
}

pub(crate) fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    let (expand, stub) = (workflow::expand, workflow::stub);
    Macro { name: "workflow", table: options::WORKFLOW, check: check::workflow, expand, stub }.run(options, item)
}

pub(crate) fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    let (expand, stub) = (step::expand, step::stub);
    Macro { name: "step", table: options::STEP, check: check::step, expand, stub }.run(options, item)
}

pub(crate) fn transaction(options: TokenStream, item: TokenStream) -> TokenStream {
    let (expand, stub) = (transaction::expand, transaction::stub);
    Macro { name: "transaction", table: options::TRANSACTION, check: check::transaction, expand, stub }
        .run(options, item)
}

pub(crate) fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    let (expand, stub) = (test::expand, test::stub);
    Macro { name: "durable::test", table: options::TEST, check: check::test, expand, stub }.run(options, item)
}

impl Macro {
    fn run(&self, options: TokenStream, item: TokenStream) -> TokenStream {
        let mut faults = Faults::new();
        let options = self.table.parse(options, &mut faults);
        let output = match Function::read(item.clone(), self.name) {
            Ok(function) => {
                (self.check)(&function, &options, &mut faults);
                if faults.is_empty() {
                    (self.expand)(&function, &options)
                } else {
                    (self.stub)(&harmless(function, &options), &options)
                }
            }
            Err(fault) => {
                faults.parse(fault);
                item
            }
        };
        let told = faults.tell();
        quote!(#told #output)
    }
}

/// Without what would be a second error after the fault: the other attributes of ours, and forbidden qualifiers.
fn harmless(mut function: Function, options: &Options) -> Function {
    let facade = options.facade().name();
    function.attrs.retain(|attribute| {
        let ours = attributes::ours(attribute, &facade).is_some() || attributes::is_scheduled(attribute, &facade);
        !ours && !attributes::is_test(attribute)
    });
    function.sig.constness = None;
    function.sig.variadic = None;
    function
}

/// The function as it was written, for the faults that leave no type for a call. It is `async`, since its callers wait.
fn as_written(function: &Function) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let mut sig = sig.clone();
    sig.asyncness.get_or_insert_with(<Token![async]>::default);
    quote!(#(#attrs)* #[allow(dead_code)] #vis #sig #body)
}

fn name(function: &Function, options: &Options) -> TokenStream {
    options.value("name").cloned().unwrap_or_else(|| function.name().into_token_stream())
}

/// The engine's struct of options: what was given, and its defaults for the rest. (Where everything was given, a lint
/// finds the defaults needless; the expansions turn it off.)
fn options_value(fields: impl Iterator<Item = TokenStream>, path: &TokenStream) -> TokenStream {
    let fields: Vec<TokenStream> = fields.collect();
    if fields.is_empty() { quote!(#path::DEFAULT) } else { quote!(#path { #(#fields,)* ..#path::DEFAULT }) }
}

/// Lints that would find fault with the bounds and lifetimes that the outer half has and the user's function has not.
fn lints_of_lifetimes(function: &Function, fresh: bool) -> TokenStream {
    let single = fresh.then(|| quote!(single_use_lifetimes,));
    let places = function.sig.generics.where_clause.as_ref().map(|_| quote!(clippy::multiple_bound_locations,));
    if single.is_none() && places.is_none() { quote!() } else { quote!(#[allow(#single #places)]) }
}

/// How the return type is recorded. A type that cannot be is told where the type of the value is written.
fn codec(function: &Function, facade: &Facade) -> TokenStream {
    let returned = function.returned();
    let (first, last) = ends(&function.returned_value());
    let durable = facade.at(first);
    let path = quote_spanned!(first=> #durable::__private::codec!);
    let mut arguments = Group::new(Delimiter::Parenthesis, returned);
    arguments.set_span(last);
    quote!(#path #arguments)
}

/// The first and the last place of some tokens: the compiler underlines what lies between.
fn ends(tokens: &TokenStream) -> (Span, Span) {
    let mut places = tokens.clone().into_iter().map(|token| token.span());
    let first = places.next().unwrap_or_else(Span::call_site);
    (first, places.last().unwrap_or(first))
}
