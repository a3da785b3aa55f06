//! Faults are collected and told together, each on its own token, so that a user mends them in one go.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// The faults found in one item so far.
///
/// It has to be read with [`Faults::tell`]: dropping it unread would lose what it holds, so that panics.
#[derive(Debug)]
pub(crate) struct Faults {
    found: Vec<syn::Error>,
    told: bool,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { found: Vec::new(), told: false }
    }

    /// A fault that underlines all of `tokens`.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl Into<String>) {
        self.found.push(syn::Error::new_spanned(tokens, message.into()));
    }

    /// A fault at one place.
    pub(crate) fn at(&mut self, place: Span, message: impl Into<String>) {
        self.found.push(syn::Error::new(place, message.into()));
    }

    /// A fault that the parser found.
    pub(crate) fn parse(&mut self, fault: syn::Error) {
        self.found.push(fault);
    }

    /// All of another one, which is told with this.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.found.append(&mut other.found);
        other.told = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The compile errors, which are nothing when nothing was found.
    pub(crate) fn tell(self) -> TokenStream {
        self.tell_each().into_iter().collect()
    }

    /// The same, each by itself, for where an expression stands.
    pub(crate) fn tell_each(mut self) -> Vec<TokenStream> {
        self.told = true;
        self.found.iter().map(syn::Error::to_compile_error).collect()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // A panic while another one unwinds would abort the compiler and hide the first.
        assert!(self.told || std::thread::panicking(), "faults were collected and never told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_arrive_together_and_in_order() {
        let mut faults = Faults::new();
        faults.at(Span::call_site(), "first");
        faults.on(quote::quote!(here), "second");
        let told = faults.tell().to_string();
        assert!(told.find("first") < told.find("second"), "{told}");
    }

    #[test]
    #[should_panic(expected = "never told")]
    fn unread_faults_panic() {
        drop(Faults::new());
    }
}
