//! `#[durable::instance]`: an `impl` block whose workflows are methods of an object that recovery finds by its name.

use proc_macro2::TokenStream;
use quote::quote;
use syn::visit_mut::{self, VisitMut};
use syn::{FnArg, Ident, Meta, ReturnType, Type, TypePath};

use super::{harmless, workflow};
use crate::block::{Block, Item, Workflow};
use crate::check;
use crate::faults::Faults;
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
//         fn restock(&self, day: u32) -> WorkflowCall<u32, Error> { .. call_on(.., self, ..) }
//     }
pub(crate) fn instance(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::new();
    let options = INSTANCE.parse(options, &mut faults);
    let output = match Block::read(item.clone(), &options.facade().name()) {
        Ok(block) => {
            check::instance(&block, &mut faults);
            let whole = faults.is_empty();
            block.with(|item| match item {
                Item::Other(tokens) => tokens.clone(),
                Item::Workflow(workflow) => method(&block, workflow, &options, whole, &mut faults),
            })
        }
        Err(fault) => {
            faults.parse(fault);
            item
        }
    };
    let told = faults.tell();
    quote!(#told #output)
}

fn method(block: &Block, workflow: &Workflow, outer: &Options, whole: bool, faults: &mut Faults) -> TokenStream {
    let mut own = Faults::new();
    let tokens = match &workflow.attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    let options = WORKFLOW.parse(tokens, &mut own).within(outer);
    check::workflow_of_instance(&workflow.function, &options, &mut own);
    let ready = whole && own.is_empty();
    faults.add(own);
    let mut function = workflow.function.clone();
    if let (true, Some(name)) = (ready, block.type_name()) {
        // The signature is needed in the registry's entry, too, where `Self` is not known.
        Unselfed(&block.ty).visit_signature_types(&mut function.sig);
        workflow::expand_method(&function, &options, &block.ty, &name.to_string())
    } else {
        workflow::stub(&harmless(function, &options), &options)
    }
}

/// Puts the type of the block in the place of `Self`.
struct Unselfed<'a>(&'a Type);

impl Unselfed<'_> {
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

impl VisitMut for Unselfed<'_> {
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
            let place = ident.span();
            *ident = name.clone();
            ident.set_span(place);
        }
    }
}
