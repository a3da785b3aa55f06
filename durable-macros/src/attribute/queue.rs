//! `#[queue]`: a static of the type `Queue`, and an entry in the registry by which the engine finds it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ExprMethodCall, Item, ItemStatic, Lit, StaticMutability};

use crate::diagnostics::Diagnostics;
use crate::options::{self, Options, QUEUE};

const FORM: &str = r#"`static TASKS: Queue = Queue::new("tasks");`"#;

// Input:
//     #[queue]
//     pub static TASKS: Queue = Queue::new("tasks").concurrency(5);
// Output:
//     pub static TASKS: Queue = Queue::new("tasks").concurrency(5);
//     const _: () = { inventory::submit!(RegisteredQueue { queue: &TASKS, file: file!(), line: line!() }); };
pub(crate) fn queue(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::new();
    let options = QUEUE.parse(options, &mut diagnostics);
    let entry = match parse(item.clone(), &mut diagnostics) {
        Some(queue) if diagnostics.is_empty() => registry_entry(&queue, &options),
        _ => quote!(),
    };
    let errors = diagnostics.into_compile_error();
    quote!(#errors #item #entry)
}

fn registry_entry(queue: &ItemStatic, options: &Options) -> TokenStream {
    let (name, durable) = (&queue.ident, options.crate_path());
    let cfg = queue.attrs.iter().filter(|it| it.path().is_ident("cfg"));
    // The error about another type appears where the type is written.
    let mut name_at_type = name.clone();
    name_at_type.set_span(name.span().located_at(queue.ty.span()));
    let reference = quote_spanned!(queue.ty.span()=> &#name_at_type);
    // The line of the static, not of the attribute.
    let line = quote_spanned!(name.span()=> ::core::line!());
    quote! {
        #(#cfg)*
        const _: () = {
            #durable::__private::inventory::submit!(#durable::__private::RegisteredQueue {
                queue: #reference,
                file: ::core::file!(),
                line: #line,
            });
        };
    }
}

/// Parses and checks the static.
fn parse(item: TokenStream, diagnostics: &mut Diagnostics) -> Option<ItemStatic> {
    let first: TokenStream = item.clone().into_iter().take(1).collect();
    match syn::parse2(item) {
        Ok(Item::Static(queue)) => {
            if let StaticMutability::Mut(token) = &queue.mutability {
                let message = "a queue cannot be `mut`: remove `mut`, and change its limits through the engine";
                diagnostics.error_on(token, message);
            }
            check_value(&queue.expr, diagnostics);
            Some(queue)
        }
        // Each use of a constant is another value, and only one of them would be registered.
        Ok(Item::Const(constant)) => {
            diagnostics
                .error_on(constant.const_token, "a queue is one shared value: write `static` instead of `const`");
            None
        }
        Ok(Item::Fn(function)) => {
            let fix = "to put a workflow on a queue, write `#[workflow(queue = TASKS)]`";
            diagnostics.error_on(function.sig.fn_token, format!("`#[queue]` goes on a `static`: {FORM}; {fix}"));
            None
        }
        Ok(_) => {
            diagnostics.error_on(first, format!("`#[queue]` goes on a `static`: {FORM}"));
            None
        }
        Err(_) if first.to_string() == "let" => {
            diagnostics.error_on(first, format!("a queue exists as long as the program: write {FORM}"));
            None
        }
        Err(error) => {
            diagnostics.push(error);
            None
        }
    }
}

/// Checks the literals in the initializer. Computed values are checked when the engine launches.
fn check_value(value: &Expr, diagnostics: &mut Diagnostics) {
    match value {
        Expr::MethodCall(call) => {
            check_value(&call.receiver, diagnostics);
            check_limit(call, diagnostics);
        }
        Expr::Call(call) => {
            if let Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) = call.args.first() {
                match options::name_error(&name.value()) {
                    Some(_) if name.value().is_empty() => {
                        diagnostics.error_on(name, "the name of a queue cannot be empty: write a name");
                    }
                    Some(error) => diagnostics.error_on(name, format!("the name {error}")),
                    None => {}
                }
            }
        }
        _ => {}
    }
}

fn check_limit(call: &ExprMethodCall, diagnostics: &mut Diagnostics) {
    const LIMITS: [&str; 5] =
        ["concurrency", "worker_concurrency", "rate_limit", "partition_concurrency", "partition_rate_limit"];
    if let Some(Expr::Lit(ExprLit { lit: Lit::Int(limit), .. })) = call.args.first()
        && limit.base10_digits() == "0"
        && LIMITS.iter().any(|name| call.method == name)
    {
        let method = &call.method;
        diagnostics.error_on(limit, format!("a `{method}` of 0 lets no workflow run: write 1 or more, or remove it"));
    }
}
