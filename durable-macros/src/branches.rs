//! `durable::join!` and `durable::select!`: their grammar, and the calls that they become.
//!
//! A `macro_rules!` of the facade hands over the name of the crate and what the user wrote:
//!
//! ```text
//! select! { $crate; paid = payment(7) => ship(paid).await, () = sleep(day) => return Ok(None) }
//! match $crate::__private::select2(async { payment(7).await }, async { sleep(day).await }).await {
//!     $crate::__private::Select2::First(value) => { let paid = value; ship(paid).await }
//!     $crate::__private::Select2::Second(value) => { let () = value; return Ok(None) }
//! }
//! ```
//!
//! A future is made where it is polled, in its branch, so that the calls in its expression are the branch's. The
//! future of the whole is gone before a handler runs, and with it what it has borrowed.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Pat, Token};

use crate::facade::Facade;
use crate::faults::Faults;

/// As many arms as the engine has functions for.
const MOST: usize = 8;
const VARIANTS: [&str; MOST] = ["First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth"];

const ARM: &str = "an arm is `pattern = future => handler`";

pub(crate) fn join(input: TokenStream) -> TokenStream {
    let mut faults = Faults::new();
    let (facade, input) = facade(input);
    let mut futures = Vec::new();
    let parser = |input: ParseStream<'_>| {
        biased(input, &mut faults, "all are polled in turn")?;
        while !input.is_empty() {
            futures.push(input.parse::<Expr>()?);
            if !input.is_empty() && input.parse::<Option<Token![,]>>()?.is_none() {
                return Err(input.error("put a comma between two futures"));
            }
        }
        Ok(())
    };
    if let Err(fault) = parser.parse2(input) {
        faults.parse(fault);
    } else if futures.is_empty() && faults.is_empty() {
        faults.at(Span::call_site(), "`durable::join!` waits for futures: `durable::join!(first, second)`");
    } else if let Some(ninth) = futures.get(MOST) {
        let mend = "join some of them in a `durable::join!` of their own, or use `durable::map`";
        faults.on(ninth, format!("`durable::join!` takes up to {MOST} futures: {mend}"));
    }
    if !faults.is_empty() {
        return refused(faults);
    }
    faults.tell();
    let function = format_ident!("join{}", futures.len());
    let futures = futures.iter().map(in_branch);
    quote!(#facade::__private::#function(#(#futures),*).await)
}

pub(crate) fn select(input: TokenStream) -> TokenStream {
    let mut faults = Faults::new();
    let (facade, input) = facade(input);
    let mut arms = Vec::new();
    let parser = |input: ParseStream<'_>| {
        biased(input, &mut faults, "the arms are polled in the order in which they are written")?;
        while !input.is_empty() {
            arms.extend(Arm::parse(input, &mut faults)?);
        }
        Ok(())
    };
    if let Err(fault) = parser.parse2(input) {
        faults.parse(fault);
    } else if faults.is_empty() {
        match &arms[..] {
            [] => faults.at(
                Span::call_site(),
                "`durable::select!` chooses between arms: `durable::select! { a = first => .., b = second => .. }`",
            ),
            [only] => faults.on(
                &only.future,
                "with one arm there is nothing to choose: write `let pattern = future.await;`, or add an arm",
            ),
            [_, _, ..] if arms.len() > MOST => {
                let mend = "put some of the futures into an `async` block with a `durable::select!` of its own";
                faults.on(&arms[MOST].future, format!("`durable::select!` takes up to {MOST} arms: {mend}"));
            }
            _ => {}
        }
    }
    if !faults.is_empty() {
        return refused(faults);
    }
    faults.tell();
    let (function, won) = (format_ident!("select{}", arms.len()), format_ident!("Select{}", arms.len()));
    let futures = arms.iter().map(|arm| in_branch(&arm.future));
    let handled = arms.iter().zip(VARIANTS).map(|(Arm { pattern, handler, .. }, variant)| {
        let variant = format_ident!("{variant}");
        let pattern = match pattern {
            Pat::Or(_) => quote!((#pattern)), // as `let` wants it
            _ => pattern.to_token_stream(),
        };
        let value = syn::Ident::new("value", Span::mixed_site());
        quote!(#facade::__private::#won::#variant(#value) => { let #pattern = #value; #handler })
    });
    quote! {
        match #facade::__private::#function(#(#futures),*).await { #(#handled)* }
    }
}

struct Arm {
    pattern: Pat,
    future: Expr,
    handler: Expr,
}

impl Arm {
    /// Reads an arm with the comma behind it. One that has a fault which is told gives `None`, and the next is read.
    fn parse(input: ParseStream<'_>, faults: &mut Faults) -> syn::Result<Option<Self>> {
        if input.peek(Token![else]) {
            let fault = "`durable::select!` has no `else`: its arms stay open until one of them wins; leave it out";
            faults.on(input.parse::<Token![else]>()?, fault);
            input.parse::<Token![=>]>()?;
            handler(input)?;
            return Ok(None);
        }
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        if input.peek(Token![=>]) {
            faults.on(&pattern, format!("this arm has no future: {ARM}"));
            input.parse::<Token![=>]>()?;
            handler(input)?;
            return Ok(None);
        }
        if input.parse::<Option<Token![=]>>()?.is_none() {
            return Err(input.error(ARM));
        }
        if input.is_empty() || input.peek(Token![=>]) {
            return Err(input.error(format!("here is no future: {ARM}")));
        }
        let future = input.parse::<Expr>()?;
        let guarded = input.peek(Token![,]) && input.peek2(Token![if]);
        if guarded {
            input.parse::<Token![,]>()?;
            let fault = "`durable::select!` has no `, if` guards: put an `if` around it, with the arms that there are in each case";
            faults.on(input.parse::<Token![if]>()?, fault);
            input.parse::<Expr>()?;
        }
        if input.parse::<Option<Token![=>]>>()?.is_none() {
            let fault = format!("this arm has no handler: {ARM}");
            return Err(if input.is_empty() || input.peek(Token![,]) {
                syn::Error::new_spanned(future, fault)
            } else {
                input.error(fault)
            });
        }
        let handler = handler(input)?;
        Ok((!guarded).then_some(Self { pattern, future, handler }))
    }
}

/// What is done with the value; with a comma behind it where a `match` has one.
fn handler(input: ParseStream<'_>) -> syn::Result<Expr> {
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
        return Err(input.error("put a comma between two arms"));
    }
    Ok(handler)
}

/// What tokio's macros have at their beginning, and ours need not.
fn biased(input: ParseStream<'_>, faults: &mut Faults, why: &str) -> syn::Result<()> {
    let ahead = input.fork();
    if ahead.parse::<syn::Ident>().is_ok_and(|word| word == "biased") && ahead.peek(Token![;]) {
        faults.on(input.parse::<syn::Ident>()?, format!("`biased;` has no meaning here, because {why}: leave it out"));
        input.parse::<Token![;]>()?;
    }
    Ok(())
}

/// The future of an arm, which is made where it is polled.
fn in_branch(future: &Expr) -> TokenStream {
    if let Expr::Async(block) = future
        && block.attrs.is_empty()
    {
        return block.to_token_stream();
    }
    // What is no future is told where it stands.
    let last = future.to_token_stream().into_iter().last().map_or_else(Span::call_site, |token| token.span());
    let awaited = quote_spanned!(last.resolved_at(Span::mixed_site())=> .await);
    quote!(async { (#future) #awaited })
}

/// Takes the name of the crate off the front.
fn facade(input: TokenStream) -> (Facade, TokenStream) {
    let mut tokens = input.into_iter();
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    let name = tokens.by_ref().take_while(|token| !is_end(token)).collect();
    (Facade::renamed(name), tokens.collect())
}

/// The faults, in the place of an expression. The last one is its value: an error has every type, and nothing more is
/// said of it.
fn refused(faults: Faults) -> TokenStream {
    let mut told = faults.tell_each();
    let last = told.pop();
    quote!({ #(#told;)* #last })
}
