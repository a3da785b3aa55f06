//! `#[queue]`: a static of the type `Queue`, and an entry in the registry by which the engine knows it.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ItemStatic;
use syn::spanned::Spanned;

use crate::check;
use crate::faults::Faults;
use crate::options::{Options, QUEUE};

// Input:
//     #[queue]
//     pub static TASKS: Queue = Queue::new("tasks").concurrency(5);
// Output:
//     pub static TASKS: Queue = Queue::new("tasks").concurrency(5);
//     const _: () = { inventory::submit!(RegisteredQueue { queue: &TASKS, file: file!(), line: line!() }); };
pub(crate) fn queue(options: TokenStream, item: &TokenStream) -> TokenStream {
    let mut faults = Faults::new();
    let options = QUEUE.parse(options, &mut faults);
    let entry = match check::queue(item.clone(), &mut faults) {
        Some(queue) if faults.is_empty() => entry(&queue, &options),
        _ => quote!(),
    };
    let told = faults.tell();
    quote!(#told #item #entry)
}

fn entry(queue: &ItemStatic, options: &Options) -> TokenStream {
    let (name, durable) = (&queue.ident, options.facade());
    let conditions = queue.attrs.iter().filter(|it| it.path().is_ident("cfg"));
    // Another type is told where it is written.
    let mut placed = name.clone();
    placed.set_span(name.span().located_at(queue.ty.span()));
    let reference = quote_spanned!(queue.ty.span()=> &#placed);
    // The line of the queue, not of the attribute.
    let line = quote_spanned!(name.span()=> ::core::line!());
    quote! {
        #(#conditions)*
        const _: () = {
            #durable::__private::inventory::submit!(#durable::__private::RegisteredQueue {
                queue: #reference,
                file: ::core::file!(),
                line: #line,
            });
        };
    }
}
