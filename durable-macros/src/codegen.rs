//! Pieces of code that several expansions share.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Token;

use crate::crate_path::CratePath;
use crate::function::Function;
use crate::options::Options;

/// The function as the user wrote it, for errors after which no type of a call is known. It becomes `async`, because
/// its callers await it.
pub(crate) fn as_written(function: &Function) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let mut sig = sig.clone();
    sig.asyncness.get_or_insert_with(<Token![async]>::default);
    quote!(#(#attrs)* #[allow(dead_code)] #vis #sig #body)
}

/// The name in the database, as a string literal.
pub(crate) fn recorded_name(function: &Function, options: &Options) -> TokenStream {
    options.value("name").cloned().unwrap_or_else(|| function.name().into_token_stream())
}

/// The value of one of the engine's option structs: the fields that were given, and the defaults for the rest.
pub(crate) fn options_struct(fields: impl Iterator<Item = TokenStream>, path: &TokenStream) -> TokenStream {
    let fields: Vec<TokenStream> = fields.collect();
    if fields.is_empty() { quote!(#path::DEFAULT) } else { quote!(#path { #(#fields,)* ..#path::DEFAULT }) }
}

/// Turns off the lints about bounds and lifetimes that only the call function has.
pub(crate) fn lifetime_lints(function: &Function, has_single_use: bool) -> TokenStream {
    let single_use = has_single_use.then(|| quote!(single_use_lifetimes,));
    let bounds = function.sig.generics.where_clause.as_ref().map(|_| quote!(clippy::multiple_bound_locations,));
    if single_use.is_none() && bounds.is_none() { quote!() } else { quote!(#[allow(#single_use #bounds)]) }
}

/// The codec of the return type. The error about a type that cannot be recorded appears where the user wrote the type.
pub(crate) fn codec(function: &Function, crate_path: &CratePath) -> TokenStream {
    let return_type = function.return_type();
    let (first, last) = end_spans(&function.recorded_type());
    let durable = crate_path.spanned(first);
    let path = quote_spanned!(first=> #durable::__private::codec!);
    let mut arguments = Group::new(Delimiter::Parenthesis, return_type);
    arguments.set_span(last);
    quote!(#path #arguments)
}

/// The spans of the first and the last token: an error at both underlines everything between them.
pub(crate) fn end_spans(tokens: &TokenStream) -> (Span, Span) {
    let mut spans = tokens.clone().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}
