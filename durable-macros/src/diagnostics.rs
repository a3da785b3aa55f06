//! Collects the errors in one item, so that the compiler reports all of them at once, each on its own token.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// The errors found in one item so far.
///
/// Consume it with [`Diagnostics::into_compile_error`] or [`Diagnostics::discard`]: dropping it would lose errors, so
/// that panics.
#[derive(Debug)]
pub(crate) struct Diagnostics {
    errors: Vec<syn::Error>,
    consumed: bool,
}

impl Diagnostics {
    pub(crate) fn new() -> Self {
        Self { errors: Vec::new(), consumed: false }
    }

    /// Adds an error that underlines all of `tokens`.
    pub(crate) fn error_on(&mut self, tokens: impl ToTokens, message: impl Into<String>) {
        self.errors.push(syn::Error::new_spanned(tokens, message.into()));
    }

    /// Adds an error at one span.
    pub(crate) fn error_at(&mut self, span: Span, message: impl Into<String>) {
        self.errors.push(syn::Error::new(span, message.into()));
    }

    /// Adds an error that the parser returned.
    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// Moves all errors of `other` into this one.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.errors.append(&mut other.errors);
        other.consumed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The `compile_error!` items; empty without errors.
    pub(crate) fn into_compile_error(self) -> TokenStream {
        self.into_compile_errors().into_iter().collect()
    }

    /// One `compile_error!` per error, for positions that take an expression.
    pub(crate) fn into_compile_errors(mut self) -> Vec<TokenStream> {
        self.consumed = true;
        self.errors.iter().map(syn::Error::to_compile_error).collect()
    }

    /// Drops the errors on purpose: there are none, or they are reported elsewhere.
    pub(crate) fn discard(mut self) {
        self.consumed = true;
    }
}

impl Drop for Diagnostics {
    fn drop(&mut self) {
        // A panic during another panic would abort the compiler and hide the first one.
        assert!(self.consumed || std::thread::panicking(), "diagnostics were collected and never reported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_reported_together_and_in_order() {
        let mut diagnostics = Diagnostics::new();
        diagnostics.error_at(Span::call_site(), "first");
        diagnostics.error_on(quote::quote!(here), "second");
        let reported = diagnostics.into_compile_error().to_string();
        let (first, second) = (reported.find("first"), reported.find("second"));
        assert!(first.is_some() && first < second, "{reported}");
    }

    #[test]
    #[should_panic(expected = "never reported")]
    fn dropping_unreported_diagnostics_panics() {
        drop(Diagnostics::new());
    }
}
