//! `#[scheduled]`: it is `#[workflow]` that expands it, since only there the name of the registry's entry is known.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

use super::as_written;
use crate::attributes;
use crate::check;
use crate::faults::Faults;
use crate::function::Function;
use crate::schedule::Schedule;

// Input, when it stands first and is expanded before `#[workflow]`:
//     #[scheduled("0 2 * * *")]
//     #[workflow]
//     async fn backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<()> { .. }
// Output:
//     #[workflow]
//     #[scheduled("0 2 * * *")]
//     async fn backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<()> { .. }
pub(crate) fn scheduled(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut faults = Faults::new();
    let mut function = match Function::read(item.clone(), "scheduled") {
        Ok(function) => function,
        Err(fault) => {
            faults.parse(fault);
            let told = faults.tell();
            return quote!(#told #item);
        }
    };
    // Under another name of the crate it is believed that a `workflow` is ours.
    let is_workflow = |attribute: &syn::Attribute| attributes::last_word(attribute).is_some_and(|it| it == "workflow");
    if let Some(place) = function.attrs.iter().position(is_workflow) {
        function.attrs.insert(place + 1, parse_quote!(#[scheduled(#options)]));
        drop(faults.tell());
        let Function { attrs, vis, sig, body } = function;
        return quote!(#(#attrs)* #vis #sig #body);
    }
    let schedule = Schedule::parse(options, proc_macro2::Span::call_site(), &mut faults);
    let facade = schedule.map_or_else(|| "durable".to_owned(), |it| it.options.facade().name());
    check::scheduled_alone(&function, &facade, &mut faults);
    let told = faults.tell();
    let written = as_written(&function);
    quote!(#told #written)
}
