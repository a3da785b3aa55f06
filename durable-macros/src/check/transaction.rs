//! What `#[transaction]` refuses: above all a connection that is not where it belongs.

use quote::{ToTokens, quote};
use syn::{GenericParam, Type};

use super::{
    check_async, check_conditions_of_arguments, check_exclusive, check_name, check_one_attribute, check_output,
    check_qualifiers,
};
use crate::faults::Faults;
use crate::function::{Argument, Function};
use crate::options::Options;
use crate::types::show;

const FORM: &str = "a transaction takes its connection first: `tx: &mut PgConnection` or `tx: &mut SqliteConnection`";

pub(crate) fn transaction(function: &Function, options: &Options, faults: &mut Faults) {
    check_one_attribute(function, options, faults);
    check_async(function, "a transaction", faults);
    check_qualifiers(function, "a transaction", faults);
    check_conditions_of_arguments(function, faults);
    check_connection(function, faults);
    check_cloned(function, faults);
    check_output(function, "a transaction's", faults);
    check_name(function, options, faults);
}

/// The engine opens the transaction, lends its connection to the body, and commits. Any type is taken for one that is
/// borrowed exclusively and stands first, so that aliases work; the names only tell the mistakes apart.
fn check_connection(function: &Function, faults: &mut Faults) {
    match function.connection().map(|place| (place, function.arguments().nth(place))) {
        Some((0, Some(first))) => check_first(function, first.ty, faults),
        Some((_, Some(later))) => {
            faults.on(pattern_and_type(&later), format!("{FORM}; move this before the arguments that callers give"));
        }
        _ => match (function.arguments().next(), function.sig.receiver()) {
            (Some(first), _) => faults.on(pattern_and_type(&first), format!("{FORM}; put it before this")),
            (None, Some(receiver)) => faults.on(receiver, format!("{FORM}; put it after this")),
            (None, None) => faults.at(function.sig.paren_token.span.close(), FORM),
        },
    }
}

fn check_first(function: &Function, ty: &Type, faults: &mut Faults) {
    match ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            check_kind_of_connection(function, &reference.elem, faults);
        }
        Type::Reference(reference) => {
            let connection = show(reference.elem.to_token_stream());
            faults.on(ty, format!("SQL needs the connection for itself: write `&mut {connection}`"));
        }
        ty => {
            let connection = show(ty.to_token_stream());
            faults.on(ty, format!("the connection is the engine's, which lends it: write `&mut {connection}`"));
        }
    }
}

/// Which database it is decides who commits, so it has to be known, and it is a connection on which the transaction is open.
fn check_kind_of_connection(function: &Function, ty: &Type, faults: &mut Faults) {
    const NAMED: &str =
        "the type of the connection says which database it is: write `PgConnection` or `SqliteConnection`";
    const OPEN: &str =
        "the engine begins and commits the transaction: take `&mut PgConnection` or `&mut SqliteConnection`";
    match ty {
        Type::ImplTrait(_) | Type::TraitObject(_) | Type::Infer(_) => faults.on(ty, NAMED),
        Type::Path(path) => {
            let param = |it: &GenericParam| matches!(it, GenericParam::Type(param) if path.path.is_ident(&param.ident));
            if function.sig.generics.params.iter().any(param) {
                faults.on(ty, NAMED);
            } else if path.path.segments.last().is_some_and(|it| {
                let name = it.ident.to_string();
                name.ends_with("Transaction") || name.ends_with("Pool")
            }) {
                faults.on(ty, OPEN);
            }
        }
        _ => {}
    }
}

/// A transaction that lost against another one begins anew, with the same arguments.
fn check_cloned(function: &Function, faults: &mut Faults) {
    const MEND: &str =
        "a transaction that loses against another one is tried again with the same arguments: take the value, or a `&`";
    check_exclusive(function, function.connection(), MEND, faults);
}

fn pattern_and_type(argument: &Argument<'_>) -> impl ToTokens {
    let (pattern, ty) = (argument.pattern, argument.ty);
    quote!(#pattern: #ty)
}
