//! The other attributes on a function: which of the two functions of an expansion gets each one, and which of them are
//! durable's own.

use proc_macro2::Ident;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token, parse_quote, parse_quote_spanned};

/// The attributes of a function, divided between the two functions that it expands to.
pub(crate) struct SplitAttributes {
    /// For the function that callers call.
    pub(crate) call_function: Vec<Attribute>,
    /// For the function that holds the user's body.
    pub(crate) body_function: Vec<Attribute>,
}

impl SplitAttributes {
    pub(crate) fn new(attributes: &[Attribute]) -> Self {
        let mut split = Self { call_function: Vec::new(), body_function: Vec::new() };
        for attribute in attributes {
            for (meta, attribute) in flatten_cfg_attr(attribute) {
                split.assign(&meta, attribute);
            }
        }
        split
    }

    fn assign(&mut self, meta: &Meta, attribute: Attribute) {
        let name = meta.path().get_ident().map(Ident::to_string).unwrap_or_default();
        match (name.as_str(), meta) {
            // A call is `#[must_use]` already, so Clippy would report this one. One with a message has more information, and stays.
            ("must_use", Meta::Path(_)) => {}
            ("doc" | "deprecated" | "must_use" | "cfg", _) => self.call_function.push(attribute),
            ("allow" | "warn" | "deny" | "forbid", _) => self.assign_to_both(attribute),
            // The lint may occur in one of the functions only, and the other would report an unfulfilled expectation.
            ("expect", Meta::List(lints)) => {
                let lints = &lints.tokens;
                self.assign_to_both(parse_quote_spanned!(attribute.pound_token.span=> #[allow(#lints)]));
            }
            // Unknown attributes go to the body: `#[tracing::instrument]` is about the code that runs.
            _ => self.body_function.push(attribute),
        }
    }

    fn assign_to_both(&mut self, attribute: Attribute) {
        self.call_function.push(attribute.clone());
        self.body_function.push(attribute);
    }

    /// The `#[cfg]` attributes, which a hidden method beside the function needs, too.
    pub(crate) fn cfg_attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.call_function.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }
}

/// Each meta item with the attribute that carries it: a `cfg_attr` gives one `cfg_attr` for each item in it.
fn flatten_cfg_attr(attribute: &Attribute) -> Vec<(Meta, Attribute)> {
    if let Meta::List(list) = &attribute.meta
        && list.path.is_ident("cfg_attr")
        && let Ok(items) = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone())
    {
        let mut items = items.into_iter();
        let condition = items.next();
        return items.map(|item| (item.clone(), parse_quote!(#[cfg_attr(#condition, #item)]))).collect();
    }
    vec![(attribute.meta.clone(), attribute.clone())]
}

/// The name of the attribute if it is durable's `workflow`, `step` or `transaction`: `#[step]` and `#[durable::step]`
/// are, and `#[other::step]` of another crate is not.
pub(crate) fn durable_attribute(attribute: &Attribute, crate_name: &str) -> Option<&'static str> {
    ["workflow", "step", "transaction"].into_iter().find(|name| is_durable(attribute, name, crate_name))
}

/// Whether the attribute is durable's `#[scheduled]`.
pub(crate) fn is_scheduled(attribute: &Attribute, crate_name: &str) -> bool {
    is_durable(attribute, "scheduled", crate_name)
}

fn is_durable(attribute: &Attribute, name: &str, crate_name: &str) -> bool {
    let mut segments = attribute.path().segments.iter().rev();
    segments.next().is_some_and(|segment| segment.ident == name)
        && segments.next().is_none_or(|segment| segment.ident == "durable" || segment.ident == crate_name)
}

/// The last segment of an attribute's path.
pub(crate) fn last_segment(attribute: &Attribute) -> Option<&Ident> {
    attribute.path().segments.last().map(|segment| &segment.ident)
}

/// Whether the attribute makes the function a test: `#[test]`, `#[tokio::test]` or `#[durable::test]`.
pub(crate) fn is_test(attribute: &Attribute) -> bool {
    last_segment(attribute).is_some_and(|name| name == "test")
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn every_attribute_goes_to_the_function_that_it_is_about() {
        let function: syn::ItemFn = parse_quote! {
            #[doc = "Docs."]
            #[must_use]
            #[must_use = "text"]
            #[expect(clippy::too_many_arguments)]
            #[cfg_attr(docsrs, doc(hidden), tracing::instrument)]
            #[inline]
            fn f() {}
        };
        let SplitAttributes { call_function, body_function } = SplitAttributes::new(&function.attrs);
        let both = quote!(#[allow(clippy::too_many_arguments)]);
        let expected_on_call = quote!(#[doc = "Docs."] #[must_use = "text"] #both #[cfg_attr(docsrs, doc(hidden))]);
        let expected_on_body = quote!(#both #[cfg_attr(docsrs, tracing::instrument)] #[inline]);
        assert_eq!(quote!(#(#call_function)*).to_string(), expected_on_call.to_string());
        assert_eq!(quote!(#(#body_function)*).to_string(), expected_on_body.to_string());
    }

    #[test]
    fn attributes_of_other_crates_are_not_recognized() {
        let step = Some("step");
        assert_eq!(durable_attribute(&parse_quote!(#[durable::step(retries = 1)]), "durable"), step);
        assert_eq!(durable_attribute(&parse_quote!(#[::durable::workflow]), "durable"), Some("workflow"));
        assert_eq!(durable_attribute(&parse_quote!(#[renamed::step]), "renamed"), step);
        assert_eq!(durable_attribute(&parse_quote!(#[other::step]), "durable"), None);
    }
}
