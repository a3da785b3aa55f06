//! Which half of an expanded function each of the user's attributes goes to.

use proc_macro2::Ident;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token, parse_quote, parse_quote_spanned};

/// The attributes of a function, sorted.
pub(crate) struct Attributes {
    /// For the function that is called.
    pub(crate) outer: Vec<Attribute>,
    /// For the function that holds the user's body.
    pub(crate) inner: Vec<Attribute>,
}

impl Attributes {
    pub(crate) fn sort(attributes: &[Attribute]) -> Self {
        let mut sorted = Self { outer: Vec::new(), inner: Vec::new() };
        for attribute in attributes {
            for (subject, attribute) in parts(attribute) {
                sorted.place(&subject, attribute);
            }
        }
        sorted
    }

    fn place(&mut self, subject: &Meta, attribute: Attribute) {
        let name = subject.path().get_ident().map(Ident::to_string).unwrap_or_default();
        match (name.as_str(), subject) {
            // The value of a call has to be used in any case. Clippy would ask to leave this out, so it is left out;
            // with a text the attribute says more, and stays.
            ("must_use", Meta::Path(_)) => {}
            ("doc" | "deprecated" | "must_use" | "cfg", _) => self.outer.push(attribute),
            ("allow" | "warn" | "deny" | "forbid", _) => self.in_both(attribute),
            // An expectation is met in one half only, and would be reported as unmet in the other.
            ("expect", Meta::List(lints)) => {
                let lints = &lints.tokens;
                self.in_both(parse_quote_spanned!(attribute.pound_token.span=> #[allow(#lints)]));
            }
            // What is unknown goes with the body: `#[tracing::instrument]` is about the code that runs.
            _ => self.inner.push(attribute),
        }
    }

    fn in_both(&mut self, attribute: Attribute) {
        self.outer.push(attribute.clone());
        self.inner.push(attribute);
    }

    /// The conditions for the function to exist. A hidden sibling has the same.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Attribute> {
        self.outer.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }
}

/// What the attribute is about, beside the attribute; a `cfg_attr` is about what it holds, each part for itself.
fn parts(attribute: &Attribute) -> Vec<(Meta, Attribute)> {
    if let Meta::List(list) = &attribute.meta
        && list.path.is_ident("cfg_attr")
        && let Ok(parts) = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone())
    {
        let mut parts = parts.into_iter();
        let condition = parts.next();
        return parts.map(|part| (part.clone(), parse_quote!(#[cfg_attr(#condition, #part)]))).collect();
    }
    vec![(attribute.meta.clone(), attribute.clone())]
}

/// Which attribute of ours this is, if it is one: `step`, `durable::step`, and not another crate's `other::step`.
pub(crate) fn ours(attribute: &Attribute, facade: &str) -> Option<&'static str> {
    let mut segments = attribute.path().segments.iter().rev();
    let name = &segments.next()?.ident;
    let ours = segments.next().is_none_or(|segment| segment.ident == "durable" || segment.ident == facade);
    ["workflow", "step", "transaction"].into_iter().find(|it| ours && name == it)
}

/// Whether it is our `#[scheduled]`.
pub(crate) fn is_scheduled(attribute: &Attribute, facade: &str) -> bool {
    let mut segments = attribute.path().segments.iter().rev();
    let ours = segments.next().is_some_and(|it| it.ident == "scheduled");
    ours && segments.next().is_none_or(|segment| segment.ident == "durable" || segment.ident == facade)
}

/// The last word of an attribute's path.
pub(crate) fn last_word(attribute: &Attribute) -> Option<&Ident> {
    attribute.path().segments.last().map(|it| &it.ident)
}

/// Whether this makes a test of the function, ours or `#[tokio::test]`.
pub(crate) fn is_test(attribute: &Attribute) -> bool {
    last_word(attribute).is_some_and(|it| it == "test")
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn every_attribute_has_its_place() {
        let function: syn::ItemFn = parse_quote! {
            #[doc = "Docs."]
            #[must_use]
            #[must_use = "text"]
            #[expect(clippy::too_many_arguments)]
            #[cfg_attr(docsrs, doc(hidden), tracing::instrument)]
            #[inline]
            fn f() {}
        };
        let Attributes { outer, inner } = Attributes::sort(&function.attrs);
        let both = quote!(#[allow(clippy::too_many_arguments)]);
        let expected_outer = quote!(#[doc = "Docs."] #[must_use = "text"] #both #[cfg_attr(docsrs, doc(hidden))]);
        let expected_inner = quote!(#both #[cfg_attr(docsrs, tracing::instrument)] #[inline]);
        assert_eq!(quote!(#(#outer)*).to_string(), expected_outer.to_string());
        assert_eq!(quote!(#(#inner)*).to_string(), expected_inner.to_string());
    }

    #[test]
    fn another_crates_step_is_none_of_ours() {
        assert_eq!(ours(&parse_quote!(#[durable::step(retries = 1)]), "durable"), Some("step"));
        assert_eq!(ours(&parse_quote!(#[::durable::workflow]), "durable"), Some("workflow"));
        assert_eq!(ours(&parse_quote!(#[other::step]), "durable"), None);
        assert_eq!(ours(&parse_quote!(#[renamed::step]), "renamed"), Some("step"));
    }
}
