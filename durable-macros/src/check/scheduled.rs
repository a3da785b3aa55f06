//! What `#[scheduled]` refuses: what is no workflow of two times.

use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, GenericArgument, PathArguments, Type};

use crate::attributes;
use crate::faults::Faults;
use crate::function::Function;
use crate::options::Options;
use crate::schedule::{self, Schedule};

const FORM: &str = "(scheduled: DateTime<Utc>, actual: DateTime<Utc>)";

/// The schedules of a workflow.
pub(super) fn scheduled(function: &Function, options: &Options, faults: &mut Faults) {
    let facade = options.facade().name();
    let mut schedules = function.attrs.iter().filter(|it| attributes::is_scheduled(it, &facade));
    let Some(schedule) = schedules.next() else { return };
    Schedule::parse(schedule::tokens(schedule), schedule.path().span(), faults);
    for second in schedules {
        let mend = "list its times in one expression, or write a second workflow that calls this one";
        faults.on(second.path(), format!("a workflow has one schedule: {mend}"));
    }
    // A workflow with `self` is refused, with or without a schedule.
    if function.sig.receiver().is_none() {
        check_arguments(function, faults);
    }
}

/// The workflows of an instance: nobody says whose method is to be called.
pub(super) fn scheduled_instance(function: &Function, options: &Options, faults: &mut Faults) {
    let facade = options.facade().name();
    for schedule in function.attrs.iter().filter(|it| attributes::is_scheduled(it, &facade)) {
        let mend = "schedule a workflow without `self`, outside of the block, which calls this one";
        faults.on(schedule.path(), format!("a schedule has no instance to call a method of: {mend}"));
    }
}

/// `#[scheduled]` where no `#[workflow]` is.
pub(crate) fn scheduled_alone(function: &Function, facade: &str, faults: &mut Faults) {
    let name = &function.sig.ident;
    let ours = |attribute: &Attribute| attributes::ours(attribute, facade);
    match function.attrs.iter().find_map(ours) {
        Some(other) => {
            let mend = "write a workflow that calls this one";
            faults.on(name, format!("`#[scheduled]` starts a workflow, and this is a {other}: {mend}"));
        }
        None => faults.on(name, "`#[scheduled]` starts a workflow: write `#[workflow]` below it"),
    }
}

/// The times are given by their places, and recorded by their names.
fn check_arguments(function: &Function, faults: &mut Faults) {
    let more: Vec<&FnArg> = function.sig.inputs.iter().skip(2).collect();
    let form = || format!("a scheduled workflow takes when it was due and when it is started: `{FORM}`");
    if function.sig.inputs.len() < 2 {
        faults.at(function.sig.paren_token.span.join(), form());
    } else if !more.is_empty() {
        faults.on(quote!(#(#more),*), form());
    }
    for argument in function.arguments().take(2).filter(|it| !is_time(it.ty)) {
        faults.on(argument.ty, format!("a scheduled workflow takes two times: write `DateTime<Utc>`, as in `{FORM}`"));
    }
}

/// `DateTime<Utc>`, by any path.
fn is_time(ty: &Type) -> bool {
    let Some(last) = last_word(ty) else { return false };
    match &last.arguments {
        PathArguments::AngleBracketed(zone) if last.ident == "DateTime" && zone.args.len() == 1 => {
            matches!(&zone.args[0], GenericArgument::Type(zone) if last_word(zone).is_some_and(|it| it.ident == "Utc"))
        }
        _ => false,
    }
}

fn last_word(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_word(&group.elem),
        _ => None,
    }
}
