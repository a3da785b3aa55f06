//! The path of the crate in expansions: `::durable`, or the name that the application gave it.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

#[derive(Clone)]
pub(crate) struct CratePath(TokenStream);

impl Default for CratePath {
    fn default() -> Self {
        Self(quote!(::durable))
    }
}

impl CratePath {
    /// The path that the option `crate` gives.
    pub(crate) fn new(path: TokenStream) -> Self {
        Self(path)
    }

    /// The path with every token at `span`, for code whose errors must appear there: an error underlines everything
    /// between its first and its last token.
    pub(crate) fn spanned(&self, span: Span) -> TokenStream {
        let spanned = self.0.clone().into_iter().map(|mut token| {
            token.set_span(span);
            token
        });
        spanned.collect()
    }

    /// The last segment of the path, by which attributes such as `#[renamed::step]` are recognized.
    pub(crate) fn last_segment(&self) -> String {
        let last = self.0.clone().into_iter().filter(|token| matches!(token, TokenTree::Ident(_))).last();
        last.map_or_else(String::new, |name| name.to_string())
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.spanned(Span::call_site()));
    }
}
