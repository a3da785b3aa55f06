//! Checks of what is recorded of a function: its return type and its name.

use quote::ToTokens;
use syn::ReturnType;

use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::options::{self, Options};
use crate::types::{TypeContents, is_certainly_not_result, owned_form, source_text};

/// Rejects the return types that are certainly no `Result`. A type that may be an alias of one is left to the compiler.
pub(crate) fn returns_result(function: &Function, diagnostics: &mut Diagnostics) {
    const FORM: &str = "a workflow returns `Result<T, E>`";
    match &function.sig.output {
        ReturnType::Default => {
            let span = function.sig.paren_token.span.close();
            diagnostics.error_at(span, format!("{FORM}: write `-> durable::Result<()>`"));
        }
        ReturnType::Type(_, ty) if is_certainly_not_result(ty) => {
            let text = source_text(ty.to_token_stream());
            diagnostics.error_on(ty, format!("{FORM}: write `durable::Result<{text}>`"));
        }
        ReturnType::Type(..) => {}
    }
}

/// Rejects return types that borrow or have no name: the value is read back after a restart.
pub(crate) fn owned_output(function: &Function, whose: &str, diagnostics: &mut Diagnostics) {
    let ReturnType::Type(_, ty) = &function.sig.output else { return };
    let why = format!("{whose} result is read back after a restart");
    let contents = TypeContents::of(ty);
    for impl_trait in contents.impl_traits {
        diagnostics
            .error_on(impl_trait, format!("{why}, so its type has a name: write the type instead of `impl Trait`"));
    }
    for reference in contents.references {
        let fix = owned_form(&reference.elem).map(|owned| format!(": return `{owned}`")).unwrap_or_default();
        diagnostics.error_on(reference, format!("{why}, so it is owned{fix}"));
    }
    for lifetime in contents.lifetimes {
        diagnostics.error_on(lifetime, format!("{why}, so it is owned: return a type without a lifetime"));
    }
}

/// Rejects a function's name that the database cannot store. The option `name` was checked when it was parsed.
pub(crate) fn recorded_name(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    if options.value("name").is_none()
        && let Some(error) = options::name_error(&function.name())
    {
        diagnostics.error_on(&function.sig.ident, format!("the name {error}: set a shorter one with `name = \"..\"`"));
    }
}
