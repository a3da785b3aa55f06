//! `durable::join!` and `durable::select!`: their grammar and their expansion.
//!
//! A `macro_rules!` of the crate `durable` passes on the crate's path and the user's tokens:
//!
//! ```text
//! select! { $crate; paid = payment(7) => ship(paid).await, () = sleep(day) => return Ok(None) }
//! match $crate::__private::select2(async { payment(7).await }, async { sleep(day).await }).await {
//!     $crate::__private::Select2::First(value) => { let paid = value; ship(paid).await }
//!     $crate::__private::Select2::Second(value) => { let () = value; return Ok(None) }
//! }
//! ```
//!
//! Each future is created inside its branch, so that the calls in its expression get positions of the branch. The
//! combined future is dropped before a handler runs, and its borrows end there.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Pat, Token};

use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;

/// The engine has functions for up to this many branches.
const MAX_BRANCHES: usize = 8;
const VARIANTS: [&str; MAX_BRANCHES] = ["First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth"];

const ARM_FORM: &str = "an arm is `pattern = future => handler`";

pub(crate) fn join(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::new();
    let (durable, input) = split_crate_path(input);
    let mut futures = Vec::new();
    let parser = |input: ParseStream<'_>| {
        reject_biased(input, "durable::join!", &mut diagnostics)?;
        while !input.is_empty() {
            futures.push(input.parse::<Expr>()?);
            if !input.is_empty() && input.parse::<Option<Token![,]>>()?.is_none() {
                return Err(input.error("expected a comma between two futures"));
            }
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(input) {
        diagnostics.push(error);
    } else if futures.is_empty() && diagnostics.is_empty() {
        let message = "`durable::join!` takes at least one future: `durable::join!(first, second)`";
        diagnostics.error_at(Span::call_site(), message);
    } else if let Some(ninth) = futures.get(MAX_BRANCHES) {
        let fix = "nest another `durable::join!`, or use `durable::map`";
        diagnostics.error_on(ninth, format!("`durable::join!` takes up to {MAX_BRANCHES} futures: {fix}"));
    }
    if !diagnostics.is_empty() {
        return error_expression(diagnostics);
    }
    diagnostics.discard();
    let function = format_ident!("join{}", futures.len());
    let futures = futures.iter().map(branch_future);
    quote!(#durable::__private::#function(#(#futures),*).await)
}

pub(crate) fn select(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::new();
    let (durable, input) = split_crate_path(input);
    let mut arms = Vec::new();
    let parser = |input: ParseStream<'_>| {
        reject_biased(input, "durable::select!", &mut diagnostics)?;
        while !input.is_empty() {
            arms.extend(Arm::parse(input, &mut diagnostics)?);
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(input) {
        diagnostics.push(error);
    } else if diagnostics.is_empty() {
        match &arms[..] {
            [] => diagnostics.error_at(
                Span::call_site(),
                "`durable::select!` takes at least two arms: `durable::select! { a = first => .., b = second => .. }`",
            ),
            [only] => diagnostics.error_on(
                &only.future,
                "`durable::select!` takes at least two arms: write `let pattern = future.await;`, or add an arm",
            ),
            [_, _, ..] if arms.len() > MAX_BRANCHES => {
                let fix = "nest another `durable::select!` in an `async` block";
                let message = format!("`durable::select!` takes up to {MAX_BRANCHES} arms: {fix}");
                diagnostics.error_on(&arms[MAX_BRANCHES].future, message);
            }
            _ => {}
        }
    }
    if !diagnostics.is_empty() {
        return error_expression(diagnostics);
    }
    diagnostics.discard();
    let (function, winner) = (format_ident!("select{}", arms.len()), format_ident!("Select{}", arms.len()));
    let futures = arms.iter().map(|arm| branch_future(&arm.future));
    let handlers = arms.iter().zip(VARIANTS).map(|(Arm { pattern, handler, .. }, variant)| {
        let variant = format_ident!("{variant}");
        let pattern = match pattern {
            Pat::Or(_) => quote!((#pattern)), // `let` needs the parentheses
            _ => pattern.to_token_stream(),
        };
        let value = syn::Ident::new("value", Span::mixed_site());
        quote!(#durable::__private::#winner::#variant(#value) => { let #pattern = #value; #handler })
    });
    quote! {
        match #durable::__private::#function(#(#futures),*).await { #(#handlers)* }
    }
}

struct Arm {
    pattern: Pat,
    future: Expr,
    handler: Expr,
}

impl Arm {
    /// Parses an arm and the comma after it. `None` is an arm with an error after which parsing can continue.
    fn parse(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Option<Self>> {
        if input.peek(Token![else]) {
            let message = "`durable::select!` has no `else`, because its arms are never disabled: remove it";
            diagnostics.error_on(input.parse::<Token![else]>()?, message);
            input.parse::<Token![=>]>()?;
            parse_handler(input)?;
            return Ok(None);
        }
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        if input.peek(Token![=>]) {
            diagnostics.error_on(&pattern, format!("this arm has no future: {ARM_FORM}"));
            input.parse::<Token![=>]>()?;
            parse_handler(input)?;
            return Ok(None);
        }
        if input.parse::<Option<Token![=]>>()?.is_none() {
            return Err(input.error(format!("expected `=`: {ARM_FORM}")));
        }
        if input.is_empty() || input.peek(Token![=>]) {
            return Err(input.error(format!("expected a future: {ARM_FORM}")));
        }
        let future = input.parse::<Expr>()?;
        let guarded = input.peek(Token![,]) && input.peek2(Token![if]);
        if guarded {
            input.parse::<Token![,]>()?;
            let message =
                "`durable::select!` has no `, if` guards: write an `if` around it, with the arms of each case";
            diagnostics.error_on(input.parse::<Token![if]>()?, message);
            input.parse::<Expr>()?;
        }
        if input.parse::<Option<Token![=>]>>()?.is_none() {
            let message = format!("this arm has no handler: {ARM_FORM}");
            return Err(if input.is_empty() || input.peek(Token![,]) {
                syn::Error::new_spanned(future, message)
            } else {
                input.error(message)
            });
        }
        let handler = parse_handler(input)?;
        Ok((!guarded).then_some(Self { pattern, future, handler }))
    }
}

/// Parses a handler and the comma after it, which is optional after a block as in a `match`.
fn parse_handler(input: ParseStream<'_>) -> syn::Result<Expr> {
    let handler = Expr::parse_with_earlier_boundary_rule(input)?;
    let is_block = matches!(
        handler,
        Expr::Block(_)
            | Expr::If(_)
            | Expr::Match(_)
            | Expr::Loop(_)
            | Expr::While(_)
            | Expr::ForLoop(_)
            | Expr::Unsafe(_)
    );
    if input.parse::<Option<Token![,]>>()?.is_none() && !is_block && !input.is_empty() {
        return Err(input.error("expected a comma between two arms"));
    }
    Ok(handler)
}

/// Rejects `biased;`, which tokio's macros accept.
fn reject_biased(input: ParseStream<'_>, name: &str, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    let ahead = input.fork();
    if ahead.parse::<syn::Ident>().is_ok_and(|word| word == "biased") && ahead.peek(Token![;]) {
        let message = format!("`{name}` always polls in the order in which it is written: remove `biased;`");
        diagnostics.error_on(input.parse::<syn::Ident>()?, message);
        input.parse::<Token![;]>()?;
    }
    Ok(())
}

/// An `async` block that creates the future inside the branch.
fn branch_future(future: &Expr) -> TokenStream {
    if let Expr::Async(block) = future
        && block.attrs.is_empty()
    {
        return block.to_token_stream();
    }
    // The error about an expression that is not a future appears at the expression.
    let last = future.to_token_stream().into_iter().last().map_or_else(Span::call_site, |token| token.span());
    let awaited = quote_spanned!(last.resolved_at(Span::mixed_site())=> .await);
    quote!(async { (#future) #awaited })
}

/// Splits the crate's path from the user's tokens.
fn split_crate_path(input: TokenStream) -> (CratePath, TokenStream) {
    let mut tokens = input.into_iter();
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    let path = tokens.by_ref().take_while(|token| !is_end(token)).collect();
    (CratePath::new(path), tokens.collect())
}

/// The errors as an expression. The last one is its value: it has any type, so it causes no further error.
fn error_expression(diagnostics: Diagnostics) -> TokenStream {
    let mut errors = diagnostics.into_compile_errors();
    let last = errors.pop();
    quote!({ #(#errors;)* #last })
}
