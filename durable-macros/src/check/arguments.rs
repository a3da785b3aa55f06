//! Checks of arguments.

use syn::{Pat, ReceiverKind, Type};

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::types::{MutableParts, TypeContents, looks_like_connection, owned_form};

/// Rejects `#[cfg]` on arguments: the generated code names every argument in every build.
pub(crate) fn conditional_arguments(function: &Function, diagnostics: &mut Diagnostics) {
    let is_condition = |path: &syn::Path| path.is_ident("cfg") || path.is_ident("cfg_attr");
    for argument in function.arguments() {
        for attribute in argument.attrs.iter().filter(|it| is_condition(it.path())) {
            let fix = "put `#[cfg]` on the function, and write one function for each case";
            diagnostics.error_on(attribute, format!("an argument cannot be conditional: {fix}"));
        }
    }
}

/// Rejects patterns: an argument is recorded under its name, so that a new version can reorder the arguments.
pub(crate) fn plain_argument_names(function: &Function, diagnostics: &mut Diagnostics) {
    for argument in function.arguments().filter(|argument| !argument.has_plain_name) {
        let fix = match argument.pattern {
            Pat::Wild(_) => "name this one, such as `_unused`",
            _ => "name this one, and destructure it in the body",
        };
        diagnostics.error_on(argument.pattern, format!("a workflow's arguments are recorded by name: {fix}"));
    }
}

/// Rejects borrows in the arguments of a workflow, which outlives its caller and its process.
pub(crate) fn owned_arguments(function: &Function, diagnostics: &mut Diagnostics) {
    const WHY: &str = "a workflow outlives its caller, so its arguments are owned";
    for argument in function.arguments() {
        let contents = TypeContents::of(argument.ty);
        for reference in contents.references {
            let fix = owned_form(&reference.elem).map(|owned| format!(": take `{owned}`")).unwrap_or_default();
            diagnostics.error_on(reference, format!("{WHY}{fix}"));
        }
        for lifetime in contents.lifetimes {
            diagnostics.error_on(lifetime, format!("{WHY}: take a type without a lifetime, or `'static`"));
        }
    }
}

/// Rejects arguments through which the function changes a value of its caller, `self` included: on replay the function
/// does not run, and the value is what it was before. The connection of a transaction is at the index `except`.
pub(crate) fn lost_changes(function: &Function, whose: &str, except: Option<usize>, diagnostics: &mut Diagnostics) {
    let message = format!(
        "{whose} changes to its arguments are not recorded, and are lost when the workflow is recovered: take the value, and return the changed one"
    );
    if let Some(receiver) = function.sig.receiver() {
        match &receiver.kind {
            ReceiverKind::Reference(_, _, Some(_)) => diagnostics.error_on(receiver, message.as_str()),
            ReceiverKind::Typed(_, ty) => changes_through(ty, whose, &message, diagnostics),
            _ => {}
        }
    }
    for (index, argument) in function.arguments().enumerate() {
        if Some(index) != except {
            changes_through(argument.ty, whose, &message, diagnostics);
        }
    }
}

fn changes_through(ty: &Type, whose: &str, message: &str, diagnostics: &mut Diagnostics) {
    let parts = MutableParts::of(ty);
    for reference in parts.references {
        if looks_like_connection(&reference.elem) {
            let fix = "make this a `#[transaction]`, or take a connection from the pool that `durable::state` returns";
            diagnostics.error_on(
                reference,
                format!("{whose} changes to a connection, such as an open transaction, are lost when the workflow is recovered: {fix}"),
            );
        } else {
            diagnostics.error_on(reference, message);
        }
    }
    for cell in parts.cells {
        let fix = "return the changed value, or get what all steps of the process share from `durable::state`";
        let message = format!(
            "{whose} changes inside the `{}` are not recorded, and are lost when the workflow is recovered: {fix}",
            cell.ident
        );
        diagnostics.error_on(cell, message);
    }
}
