//! The crate that expansions speak to: `::durable`, or the name that the application gave it.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

/// The path of the crate.
#[derive(Clone)]
pub(crate) struct Facade(TokenStream);

impl Default for Facade {
    fn default() -> Self {
        Self(quote!(::durable))
    }
}

impl Facade {
    /// By what the option `crate` says.
    pub(crate) fn renamed(path: TokenStream) -> Self {
        Self(path)
    }

    /// The path in one place, for what is to be told there. Every token has to stand there: an error underlines what
    /// lies between the first and the last.
    pub(crate) fn at(&self, place: Span) -> TokenStream {
        let placed = self.0.clone().into_iter().map(|mut token| {
            token.set_span(place);
            token
        });
        placed.collect()
    }

    /// The last word of the path, which attributes of ours may have before them.
    pub(crate) fn name(&self) -> String {
        let last = self.0.clone().into_iter().filter(|token| matches!(token, TokenTree::Ident(_))).last();
        last.map_or_else(String::new, |name| name.to_string())
    }
}

impl ToTokens for Facade {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.at(Span::call_site()));
    }
}
