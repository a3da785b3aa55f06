//! The attributes, one file each: the checks of the attribute, and the code that it expands to.
//!
//! Each parses its options and its item, collects the errors, and expands; after an error it expands to a placeholder
//! with the same signature, so that nothing else in the program fails to compile. The expansions only quote code: the
//! decisions are made before, in the checks, or at run time, in the engine.

mod instance;
mod queue;
mod scheduled;
mod step;
mod test;
mod transaction;
mod workflow;

use proc_macro2::TokenStream;
use quote::quote;

pub(crate) use self::instance::instance;
pub(crate) use self::queue::queue;
pub(crate) use self::scheduled::scheduled;
pub(crate) use self::test::test;

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::options::{self, OptionTable, Options};
use crate::trait_impl;
use crate::user_attributes;

/// An attribute of functions.
struct FunctionAttribute {
    name: &'static str,
    options: OptionTable,
    check: fn(&Function, &Options, &mut Diagnostics),
    expand: fn(&Function, &Options) -> TokenStream,
    /// The expansion of a function with errors.
    placeholder: fn(&Function, &Options) -> TokenStream,
}

pub(crate) fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = FunctionAttribute {
        name: "workflow",
        options: options::WORKFLOW,
        check: workflow::check,
        expand: workflow::expand,
        placeholder: workflow::placeholder,
    };
    attribute.apply(options, item)
}

pub(crate) fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = FunctionAttribute {
        name: "step",
        options: options::STEP,
        check: step::check,
        expand: step::expand,
        placeholder: step::placeholder,
    };
    attribute.apply(options, item)
}

pub(crate) fn transaction(options: TokenStream, item: TokenStream) -> TokenStream {
    let attribute = FunctionAttribute {
        name: "transaction",
        options: options::TRANSACTION,
        check: transaction::check,
        expand: transaction::expand,
        placeholder: transaction::placeholder,
    };
    attribute.apply(options, item)
}

impl FunctionAttribute {
    fn apply(&self, options: TokenStream, item: TokenStream) -> TokenStream {
        let mut diagnostics = Diagnostics::new();
        let options = self.options.parse(options, &mut diagnostics);
        let output = match Function::parse_item(item.clone(), self.name) {
            Ok(function) if let Some(trait_name) = trait_impl::trait_of(&function) => {
                let name = self.name;
                let message = format!(
                    "a {name} cannot be in the `impl` of a trait, because its body becomes a hidden method that the trait `{trait_name}` does not have: move it to an `impl` block of the type, and call it from here"
                );
                diagnostics.error_on(&function.sig.ident, message);
                let Function { attrs, vis, sig, body } = without_rejected_parts(function, &options);
                quote!(#(#attrs)* #vis #sig #body)
            }
            Ok(function) => {
                (self.check)(&function, &options, &mut diagnostics);
                if diagnostics.is_empty() {
                    (self.expand)(&function, &options)
                } else {
                    (self.placeholder)(&without_rejected_parts(function, &options), &options)
                }
            }
            Err(error) => {
                diagnostics.push(error);
                item
            }
        };
        let errors = diagnostics.into_compile_error();
        quote!(#errors #output)
    }
}

/// Removes what would cause a second error after the reported one: other attributes of durable, and qualifiers.
fn without_rejected_parts(mut function: Function, options: &Options) -> Function {
    let crate_name = options.crate_path().last_segment();
    function.attrs.retain(|attribute| {
        user_attributes::durable_attribute(attribute, &crate_name).is_none()
            && !user_attributes::is_scheduled(attribute, &crate_name)
            && !user_attributes::is_test(attribute)
    });
    function.sig.constness = None;
    function.sig.variadic = None;
    function
}
