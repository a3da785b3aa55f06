//! What `#[durable::instance]` refuses, of the block and of the workflows in it.

use quote::quote;
use syn::{PathArguments, Receiver, ReceiverKind, Type};

use super::{check_any_workflow, scheduled};
use crate::block::{Block, Item};
use crate::faults::Faults;
use crate::function::Function;
use crate::options::Options;

/// After a restart an instance is found by the name of its type and its own: there is nothing there to choose a type by.
pub(crate) fn instance(block: &Block, faults: &mut Faults) {
    const ONE_TYPE: &str =
        "an instance is found again by the name of its type after a restart, so the type cannot be generic";
    if let Some(name) = &block.trait_name {
        let mend = "put the workflows into an `impl` block of the type, and call them from here";
        faults.on(name, format!("`#[durable::instance]` goes on the `impl` block of a type, not of a trait: {mend}"));
        return;
    }
    let generics = &block.generics;
    if !generics.params.is_empty() {
        let (open, params, close) = (&generics.lt_token, &generics.params, &generics.gt_token);
        faults.on(quote!(#open #params #close), format!("{ONE_TYPE}: put the workflows on a type without parameters"));
        return;
    }
    match &block.ty {
        Type::Path(path) => {
            for segment in &path.path.segments {
                if !matches!(segment.arguments, PathArguments::None) {
                    let mend = "wrap it in a `struct` of your own";
                    faults.on(&segment.arguments, format!("{ONE_TYPE}: {mend}"));
                }
            }
        }
        ty => faults.on(ty, format!("{ONE_TYPE}: name a `struct` or an `enum` here")),
    }
    if !block.items.iter().any(|item| matches!(item, Item::Workflow(_))) {
        let mend = "it is needed only where one takes `&self`; steps and transactions do without it";
        faults.on(block.impl_token, format!("there is no `#[workflow]` in this block: {mend}"));
    }
}

pub(crate) fn workflow_of_instance(function: &Function, options: &Options, faults: &mut Faults) {
    check_receiver(function, faults);
    scheduled::scheduled_instance(function, options, faults);
    check_any_workflow(function, options, faults);
}

/// The engine has one instance, which all its workflows share.
fn check_receiver(function: &Function, faults: &mut Faults) {
    const SHARED: &str = "all workflows of an instance share it: write `&self`, and keep what changes in a `Mutex`, or in the results of steps";
    match function.sig.receiver() {
        Some(Receiver { kind: ReceiverKind::Reference(_, None, None), .. }) => {}
        Some(Receiver { kind: ReceiverKind::Reference(_, Some(lifetime), None), .. }) => {
            faults.on(lifetime, "a workflow outlives its caller: write `&self`");
        }
        Some(receiver) => faults.on(receiver, SHARED),
        None => {
            let mend = "take it, or move the function out of the block";
            faults.on(&function.sig.ident, format!("a workflow of an instance takes `&self`: {mend}"));
        }
    }
}
