//! What `#[queue]` refuses: anything but a static, and limits that let nothing run.

use proc_macro2::TokenStream;
use syn::{Expr, ExprLit, ExprMethodCall, Item, ItemStatic, Lit, StaticMutability};

use crate::faults::Faults;
use crate::options;

const FORM: &str = r#"`static TASKS: Queue = Queue::new("tasks");`"#;

/// Reads the static, or says what is there instead.
pub(crate) fn queue(item: TokenStream, faults: &mut Faults) -> Option<ItemStatic> {
    let first: TokenStream = item.clone().into_iter().take(1).collect();
    match syn::parse2(item) {
        Ok(Item::Static(queue)) => {
            if let StaticMutability::Mut(token) = &queue.mutability {
                faults.on(token, "a queue cannot be `mut`: its limits are changed at run time through the engine");
            }
            check_value(&queue.expr, faults);
            Some(queue)
        }
        // Each use of a constant is another value, and only one of them would be registered.
        Ok(Item::Const(constant)) => {
            faults.on(constant.const_token, "a queue is one place that all calls name: write `static`, not `const`");
            None
        }
        Ok(Item::Fn(function)) => {
            faults.on(
                function.sig.fn_token,
                format!("`#[queue]` goes on a `static`: {FORM}; for the workflows write `#[workflow(queue = TASKS)]`"),
            );
            None
        }
        Ok(_) => {
            faults.on(first, format!("`#[queue]` goes on a `static`: {FORM}"));
            None
        }
        Err(_) if first.to_string() == "let" => {
            faults.on(first, format!("a queue is there as long as the program: write {FORM}"));
            None
        }
        Err(fault) => {
            faults.parse(fault);
            None
        }
    }
}

/// The values that stand in the code as they are. What is computed is looked at when the engine launches.
fn check_value(value: &Expr, faults: &mut Faults) {
    match value {
        Expr::MethodCall(call) => {
            check_value(&call.receiver, faults);
            check_limit(call, faults);
        }
        Expr::Call(call) => {
            if let Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) = call.args.first() {
                match options::name_fault(&name.value()) {
                    Some(_) if name.value().is_empty() => faults.on(name, "the name of a queue is not empty"),
                    Some(fault) => faults.on(name, format!("the name {fault}")),
                    None => {}
                }
            }
        }
        _ => {}
    }
}

fn check_limit(call: &ExprMethodCall, faults: &mut Faults) {
    const LIMITS: [&str; 5] =
        ["concurrency", "worker_concurrency", "rate_limit", "partition_concurrency", "partition_rate_limit"];
    if let Some(Expr::Lit(ExprLit { lit: Lit::Int(most), .. })) = call.args.first()
        && most.base10_digits() == "0"
        && LIMITS.iter().any(|limit| call.method == limit)
    {
        let method = &call.method;
        faults.on(most, format!("with 0 nothing would ever run: `{method}` takes 1 or more, or is left out"));
    }
}
