//! `#[durable::test]`: a test with an engine of its own.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::FnArg;
use syn::spanned::Spanned;

use super::FunctionAttribute;
use crate::check;
use crate::codegen::{as_written, end_spans};
use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::options::{self, Options};
use crate::user_attributes;

/// `feature_testing` is whether `durable` was compiled with its feature `testing`. Without it there is nothing to run
/// the test with, so the test is left out, and the error about the feature is the only one.
pub(crate) fn test(options: TokenStream, item: TokenStream, feature_testing: bool) -> TokenStream {
    if !feature_testing {
        let mut diagnostics = Diagnostics::new();
        diagnostics.error_at(
            Span::call_site(),
            "`#[durable::test]` needs the feature `testing` of `durable`: add \
             `durable = { .., features = [\"testing\"] }` under `[dev-dependencies]` in Cargo.toml",
        );
        return diagnostics.into_compile_error();
    }
    let attribute = FunctionAttribute { name: "durable::test", options: options::TEST, check, expand, placeholder };
    attribute.apply(options, item)
}

fn check(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    check::one_attribute(function, options, diagnostics);
    check_one_test_attribute(function, diagnostics);
    check::is_async(function, "a durable test", diagnostics);
    check::qualifiers(function, "a durable test", diagnostics);
    check::not_generic(function, "a durable test cannot be generic: write one test for each type", diagnostics);
    check_arguments(function, diagnostics);
    check_one_store(options, diagnostics);
}

/// Rejects `#[test]` and `#[tokio::test]` beside it, which would run the test a second time and without an engine.
fn check_one_test_attribute(function: &Function, diagnostics: &mut Diagnostics) {
    for attribute in function.attrs.iter().filter(|it| user_attributes::is_test(it)) {
        let message = "`#[durable::test]` already makes this function a test: remove this attribute";
        diagnostics.error_on(attribute, message);
    }
}

fn check_arguments(function: &Function, diagnostics: &mut Diagnostics) {
    const FORM: &str = "a durable test takes no argument, or `(app: TestApp)`";
    if let Some(receiver) = function.sig.receiver() {
        diagnostics.error_on(receiver, FORM);
    }
    let surplus: Vec<&FnArg> = function.sig.inputs.iter().skip(1).collect();
    if !surplus.is_empty() {
        diagnostics.error_on(quote!(#(#surplus),*), FORM);
    }
}

fn check_one_store(options: &Options, diagnostics: &mut Diagnostics) {
    if let (Some(_), Some(second)) = (options.key_span("sqlite"), options.key_span("postgres")) {
        let fix = "write one test for each store, and call the same function from both";
        diagnostics.error_at(second, format!("a durable test runs on one store: {fix}"));
    }
}

// Input:
//     #[durable::test(postgres, setup = make_tables)]
//     async fn ships(app: TestApp) { .. }
// Output:
//     #[test]
//     fn ships() {
//         async fn ships(app: TestApp) { .. }
//         let options = TestOptions { name: concat!(module_path!(), "::ships").into(), postgres: true, timeout: None,
//                                     builder: same_builder };
//         run(options, |app| set_up(make_tables, app), |app| Box::pin(ships(app)))
//     }
fn expand(function: &Function, options: &Options) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let (name, output) = (&sig.ident, &sig.output);
    // It has the test's name, which crates for snapshots read from the function that they are called in.
    let body_sig = sig;
    let path = format!("::{}", function.name());
    let postgres = options.value("postgres").is_some();
    let crate_path = options.crate_path();
    let durable = &crate_path;
    let timeout = options.value("timeout").cloned().unwrap_or_else(|| quote!(::core::option::Option::None));

    let app = Ident::new("app", Span::mixed_site());
    let set_up = if let Some(path) = options.value("setup") {
        // The error about a function of another type appears where the function is named.
        quote_spanned!(end_spans(path).0=> |#app| #durable::testing::set_up(#path, #app))
    } else {
        quote!(#durable::testing::no_set_up)
    };
    let builder = if let Some(path) = options.value("builder") {
        quote_spanned!(end_spans(path).0=> #path)
    } else {
        quote!(#durable::testing::same_builder)
    };
    let argument = function.arguments().next();
    let parameter = argument.as_ref().map_or_else(|| quote!(_), |_| app.to_token_stream());
    // The error about an argument of another type appears at the type.
    let passed = argument.map(|argument| quote_spanned!(argument.ty.span()=> #app));
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() #output {
            #[allow(clippy::unused_async)]
            #body_sig #body
            #durable::testing::run(
                #durable::testing::TestOptions {
                    name: ::core::concat!(::core::module_path!(), #path).into(),
                    postgres: #postgres,
                    timeout: #timeout,
                    builder: #builder,
                },
                #set_up,
                |#parameter| #durable::__private::Box::pin(#name(#passed)),
            )
        }
    }
}

/// A test with errors is a plain function.
fn placeholder(function: &Function, _: &Options) -> TokenStream {
    as_written(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_testing_the_only_error_says_how_to_add_it() {
        let item = quote!(
            async fn sells(app: TestApp, more: u8) {
                sell(app).await;
            }
        );
        let expanded = test(quote!(mysql), item, false).to_string();
        assert_eq!(expanded.matches("compile_error").count(), 1, "{expanded}");
        assert!(expanded.contains("[dev-dependencies]"), "{expanded}");
        assert!(!expanded.contains("TestApp"), "{expanded}");
    }
}
