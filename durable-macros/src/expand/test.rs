//! `#[durable::test]`: a test of its own, with an engine of its own.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::as_written;
use crate::function::Function;
use crate::options::Options;

// Input:
//     #[durable::test(postgres)]
//     async fn ships(app: TestApp) { .. }
// Output:
//     #[test]
//     fn ships() {
//         async fn __body(app: TestApp) { .. }
//         run(TestOptions { name: concat!(module_path!(), "::ships"), postgres: true }, |app| Box::pin(__body(app)))
//     }
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let (name, output) = (&sig.ident, &sig.output);
    let mut inner = sig.clone();
    inner.ident = Ident::new("__body", name.span());
    let path = format!("::{}", function.name());
    let postgres = options.value("postgres").is_some();
    let durable = options.facade();

    let app = Ident::new("app", Span::mixed_site());
    let argument = function.arguments().next();
    let taken = argument.as_ref().map_or_else(|| quote!(_), |_| app.to_token_stream());
    // An argument of another type is told at the type.
    let given = argument.map(|argument| quote_spanned!(argument.ty.span()=> #app));
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #name() #output {
            #[allow(clippy::unused_async)]
            #inner #body
            #durable::testing::run(
                #durable::testing::TestOptions {
                    name: ::core::concat!(::core::module_path!(), #path),
                    postgres: #postgres,
                },
                |#taken| #durable::__private::Box::pin(__body(#given)),
            )
        }
    }
}

/// A faulty test is a plain function that nobody calls.
pub(super) fn stub(function: &Function, _: &Options) -> TokenStream {
    as_written(function)
}
