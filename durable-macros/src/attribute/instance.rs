//! `#[durable::instance]`: an `impl` block whose workflows are methods of an object that recovery finds by its name.

use proc_macro2::TokenStream;
use quote::quote;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, Ident, Meta, PathArguments, Receiver, ReceiverKind, ReturnType, Type, TypePath};

use super::{scheduled, without_rejected_parts, workflow};
use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::impl_block::{BlockItem, ImplBlock, WorkflowMethod};
use crate::options::{INSTANCE, Options, WORKFLOW};

// Input:
//     #[durable::instance]
//     impl Shop {
//         #[step]
//         async fn fetch(&self) -> Result<u32> { .. }
//         #[workflow]
//         async fn restock(&self, day: u32) -> Result<u32> { .. }
//     }
// Output:
//     impl Shop {
//         #[step]
//         async fn fetch(&self) -> Result<u32> { .. }
//         async fn __durable_restock(&self, day: u32) -> Result<u32> { .. }
//         fn restock(&self, day: u32) -> WorkflowCallOf<Result<u32>> { .. call_on(.., self, ..) }
//     }
pub(crate) fn instance(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::new();
    let options = INSTANCE.parse(options, &mut diagnostics);
    let output = match ImplBlock::parse_item(item.clone(), &options.crate_path().last_segment()) {
        Ok(block) => {
            check_block(&block, &mut diagnostics);
            let block_is_valid = diagnostics.is_empty();
            block.with_items(|item| match item {
                BlockItem::Other(tokens) => tokens.clone(),
                BlockItem::Workflow(workflow) => {
                    expand_method(&block, workflow, &options, block_is_valid, &mut diagnostics)
                }
            })
        }
        Err(error) => {
            diagnostics.push(error);
            item
        }
    };
    let errors = diagnostics.into_compile_error();
    quote!(#errors #output)
}

fn expand_method(
    block: &ImplBlock,
    workflow: &WorkflowMethod,
    block_options: &Options,
    block_is_valid: bool,
    diagnostics: &mut Diagnostics,
) -> TokenStream {
    let mut method_diagnostics = Diagnostics::new();
    let arguments = match &workflow.attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    let options = WORKFLOW.parse(arguments, &mut method_diagnostics).inherit_crate(block_options);
    check_workflow(&workflow.function, &options, &mut method_diagnostics);
    let is_valid = block_is_valid && method_diagnostics.is_empty();
    diagnostics.append(method_diagnostics);
    let mut function = workflow.function.clone();
    if let (true, Some(name)) = (is_valid, block.type_name()) {
        // The registry entry repeats the types of the signature, and `Self` is not known there.
        ReplaceSelf(&block.ty).visit_signature_types(&mut function.sig);
        workflow::expand_method(&function, &options, &block.ty, &name.to_string())
    } else {
        workflow::placeholder(&without_rejected_parts(function, &options), &options)
    }
}

/// Rejects blocks whose type recovery could not find by its name: it has nothing by which to choose type parameters.
fn check_block(block: &ImplBlock, diagnostics: &mut Diagnostics) {
    const NOT_GENERIC: &str = "an instance cannot be of a generic type, because recovery finds it by the type's name";
    if let Some(name) = &block.trait_name {
        let fix = "move the workflows to an `impl` block of the type, and call them from here";
        let message = format!("`#[durable::instance]` goes on the `impl` block of a type, not of a trait: {fix}");
        diagnostics.error_on(name, message);
        return;
    }
    let generics = &block.generics;
    if !generics.params.is_empty() {
        let (open, params, close) = (&generics.lt_token, &generics.params, &generics.gt_token);
        let message = format!("{NOT_GENERIC}: move the workflows to a type without parameters");
        diagnostics.error_on(quote!(#open #params #close), message);
        return;
    }
    match &block.ty {
        Type::Path(path) => {
            for segment in &path.path.segments {
                if !matches!(segment.arguments, PathArguments::None) {
                    let message = format!("{NOT_GENERIC}: wrap it in a `struct` of your own");
                    diagnostics.error_on(&segment.arguments, message);
                }
            }
        }
        ty => diagnostics.error_on(ty, "an instance is of a type with a name: write a `struct` or an `enum`"),
    }
    if !block.items.iter().any(|item| matches!(item, BlockItem::Workflow(_))) {
        let fix = "remove `#[durable::instance]`, which steps and transactions do not need";
        diagnostics.error_on(block.impl_token, format!("this block has no `#[workflow]`: {fix}"));
    }
}

fn check_workflow(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    check_receiver(function, diagnostics);
    scheduled::check_instance(function, options, diagnostics);
    workflow::check_any(function, options, diagnostics);
}

/// The engine owns one instance, which all runs of its workflows share.
fn check_receiver(function: &Function, diagnostics: &mut Diagnostics) {
    match function.sig.receiver() {
        Some(Receiver { kind: ReceiverKind::Reference(_, None, None), .. }) => {}
        Some(Receiver { kind: ReceiverKind::Reference(_, Some(lifetime), None), .. }) => {
            diagnostics
                .error_on(lifetime, "a workflow outlives its caller, so its `self` has no lifetime: write `&self`");
        }
        Some(receiver) => {
            let fix = "write `&self`, and keep mutable state in a `Mutex` or in the results of steps";
            diagnostics.error_on(receiver, format!("the workflows of an instance share it: {fix}"));
        }
        None => {
            let fix = "add `&self`, or move the function out of this block";
            diagnostics.error_on(&function.sig.ident, format!("a workflow of an instance takes `&self`: {fix}"));
        }
    }
}

/// Replaces `Self` by the type of the block.
struct ReplaceSelf<'a>(&'a Type);

impl ReplaceSelf<'_> {
    fn visit_signature_types(&mut self, signature: &mut syn::Signature) {
        for input in &mut signature.inputs {
            if let FnArg::Typed(typed) = input {
                self.visit_type_mut(&mut typed.ty);
            }
        }
        if let ReturnType::Type(_, ty) = &mut signature.output {
            self.visit_type_mut(ty);
        }
    }
}

impl VisitMut for ReplaceSelf<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            Type::Path(TypePath { qself: None, path, .. }) if path.is_ident("Self") => *ty = self.0.clone(),
            ty => visit_mut::visit_type_mut(self, ty),
        }
    }

    /// `Self::Item` becomes `Type::Item`.
    fn visit_ident_mut(&mut self, ident: &mut Ident) {
        if ident == "Self"
            && let Type::Path(path) = self.0
            && let Some(name) = path.path.get_ident()
        {
            let span = ident.span();
            *ident = name.clone();
            ident.set_span(span);
        }
    }
}
