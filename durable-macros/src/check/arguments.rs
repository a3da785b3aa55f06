//! Checks of arguments.

use syn::{Pat, ReceiverKind, Type, TypeReference};

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::types::{TypeContents, owned_form};

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

/// Rejects `&mut`, in `self` or in an argument other than the one at the index `except`.
pub(crate) fn exclusive_borrows(
    function: &Function,
    except: Option<usize>,
    message: &str,
    diagnostics: &mut Diagnostics,
) {
    if let Some(receiver) = function.sig.receiver()
        && let ReceiverKind::Reference(_, _, Some(_)) = receiver.kind
    {
        diagnostics.error_on(receiver, message);
    }
    for (index, argument) in function.arguments().enumerate() {
        if let Type::Reference(TypeReference { mutability: Some(_), .. }) = argument.ty
            && Some(index) != except
        {
            diagnostics.error_on(argument.ty, message);
        }
    }
}
