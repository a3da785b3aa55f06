//! The type of a workflow's call, in the form that rustdoc and editors show to the callers.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{GenericArgument, PathArguments, ReturnType, Type, parse_quote};

use crate::codegen::end_spans;
use crate::crate_path::CratePath;
use crate::function::Function;
use crate::types::is_certainly_not_result;

/// `WorkflowCall<T, E>` for a function that returns `Result<T, E>`.
///
/// The error type must be known from the tokens: with `Result<T, E>` both types are written out, and `durable::Result<T>`
/// has durable's error. The `Result` of a plain `Result<T>` may be any alias in scope, such as that of `anyhow`, and so
/// may any other name: for these the public alias `WorkflowCallOf<Result<T>>` finds the two types.
///
/// The call function returns what `__private::call::<R>` gives, so a `Result<A, B>` that is not the standard one, with
/// its parameters in that order, is a compile error and never a wrong type.
pub(crate) fn workflow_call(function: &Function, crate_path: &CratePath) -> ReturnType {
    let ty = match &function.sig.output {
        // Without a `Result` there is an error, and this is the type that its message asks for.
        ReturnType::Default => return parse_quote!(-> #crate_path::WorkflowCall<(), #crate_path::Error>),
        ReturnType::Type(_, ty) if is_certainly_not_result(ty) => {
            return parse_quote!(-> #crate_path::WorkflowCall<#ty, #crate_path::Error>);
        }
        ReturnType::Type(_, ty) => ty,
    };
    // The whole type has the span of the user's return type, and so has an error about it.
    let (first, last) = end_spans(&ty.to_token_stream());
    let durable = crate_path.spanned(first);
    let (name, arguments) = match result_arguments(ty, &crate_path.last_segment()) {
        Some(arguments) => (quote_spanned!(first=> WorkflowCall), arguments),
        None => (quote_spanned!(first=> WorkflowCallOf), ty.to_token_stream()),
    };
    let (open, close) = (quote_spanned!(first=> <), quote_spanned!(last=> >));
    let arrow = quote_spanned!(first=> ->);
    parse_quote!(#arrow #durable::#name #open #arguments #close)
}

/// The value and the error type of a `Result`, if the tokens contain both; the error is left out if it is durable's.
fn result_arguments(ty: &Type, crate_name: &str) -> Option<TokenStream> {
    let path = match ty {
        Type::Group(group) => return result_arguments(&group.elem, crate_name),
        Type::Path(path) if path.qself.is_none() => &path.path,
        _ => return None,
    };
    let last = path.segments.last().filter(|segment| segment.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let mut types = arguments.args.iter();
    let is_durable = path.segments.len() == 2 && path.segments[0].ident == crate_name;
    match (types.next(), types.next(), types.next()) {
        (Some(GenericArgument::Type(value)), Some(GenericArgument::Type(error)), None) => Some(quote!(#value, #error)),
        (Some(GenericArgument::Type(value)), None, None) if is_durable => Some(quote!(#value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_type(returned: &str) -> String {
        let code = format!("async fn f() -> {returned} {{}}");
        let function = Function::parse_item(code.parse().expect("test code lexes"), "workflow");
        let function = function.expect("test code parses");
        workflow_call(&function, &CratePath::default()).to_token_stream().to_string().replace(' ', "")
    }

    #[test]
    fn a_result_with_a_known_error_type_is_a_workflow_call_of_its_types() {
        assert_eq!(call_type("Result<u32, Declined>"), "->::durable::WorkflowCall<u32,Declined>");
        assert_eq!(call_type("std::result::Result<(), Error>"), "->::durable::WorkflowCall<(),Error>");
        assert_eq!(call_type("durable::Result<Vec<u8>>"), "->::durable::WorkflowCall<Vec<u8>>");
        assert_eq!(call_type("::durable::Result<()>"), "->::durable::WorkflowCall<()>");
    }

    #[test]
    fn a_type_whose_error_is_not_in_the_tokens_goes_through_the_public_alias() {
        for returned in
            ["Result<u32>", "anyhow::Result<u32>", "shop::durable::Result<u32>", "Sold", "<A as B>::Result<u8, u8>"]
        {
            let expected = format!("->::durable::WorkflowCallOf<{}>", returned.replace(' ', ""));
            assert_eq!(call_type(returned), expected);
        }
    }
}
