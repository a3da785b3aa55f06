//! `#[transaction]`: a step whose record is committed together with what its SQL has done.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ReturnType, Type, parse_quote};

use super::halves::{Halves, Parts};
use super::{as_written, codec, ends, lints_of_lifetimes, name, options_value};
use crate::function::Function;
use crate::lifetimes::{self, Named};
use crate::options::Options;
use crate::types::Found;

// Input:
//     #[transaction(read_only)]
//     async fn find(tx: &mut PgConnection, id: &str) -> Result<String> { .. }
// Output:
//     fn find<'durable>(id: &'durable str) -> TransactionCall<'durable, Result<String>> {
//         async fn __body(tx: &mut PgConnection, id: &str) -> Result<String> { .. }
//         static __TRANSACTION: Transaction = Transaction { name: "find", options: TransactionOptions { read_only: true, .. } };
//         let arguments = (id,);
//         transaction::<PgConnection, _, _, _>(&__TRANSACTION, codec!(Result<String>), |(id,)| (Clone::clone(id),), arguments,
//             |tx: &mut PgConnection, (id,), _| Box::pin(__body(tx, id)))
//     }
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let (halves, outer_lints) = halves(function, options);
    let place = function.sig.ident.span();
    let name = name(function, options);
    let facade = options.facade();
    let (durable, durable_here) = (&facade, facade.at(place));
    let codec = codec(function, &facade);
    let connection = connection(function);

    // Inside the closures `self` is an argument like any other.
    let (this, tx) = (Ident::new("this", Span::mixed_site()), Ident::new("tx", Span::mixed_site()));
    let (mut given, mut taken, mut copied) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(receiver) = function.sig.receiver() {
        given.push(receiver.self_token.to_token_stream());
        copied.push(Ident::new("this", receiver.self_token.span.resolved_at(Span::mixed_site())));
        taken.push(this);
    }
    for argument in function.arguments().skip(1) {
        given.push(argument.name.to_token_stream());
        // One that cannot be cloned is told at its type.
        let mut name = argument.name.clone();
        name.set_span(ends(&argument.ty.to_token_stream()).0);
        copied.push(name);
        taken.push(argument.name);
    }
    let mut inputs = taken.clone();
    inputs.insert(usize::from(function.sig.receiver().is_some()), tx.clone());
    let (given, pattern) = (quote!((#(#given,)*)), quote!((#(#taken,)*)));
    let cloner = if copied.is_empty() {
        quote!(::core::clone::Clone::clone)
    } else {
        let clones = copied.iter().map(|name| quote_spanned!(name.span()=> ::core::clone::Clone::clone(#name)));
        quote!(|(#(#copied,)*)| (#(#clones,)*))
    };
    let inner = halves.inner_path();
    let body = quote_spanned! {place=>
        |#tx: &mut #connection, #pattern, _| #durable_here::__private::Box::pin(#inner(#(#inputs),*))
    };

    let arguments = Ident::new("arguments", Span::mixed_site());
    // A type that is no connection is told where it is written.
    let path = quote_spanned!(place=> #durable_here::__private::transaction::<#connection, _, _, _>);
    let options = value(options);
    halves.emit(&Parts {
        outer_lints,
        // What is said of the signature is said once, of the outer half. It is async because SQL is waited for.
        inner_lints: quote!(#[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]),
        body: quote! {
            #[allow(clippy::needless_update)]
            static __TRANSACTION: #durable::__private::Transaction =
                #durable::__private::Transaction { name: #name, options: #options };
            let #arguments = #given;
            #path(&__TRANSACTION, #codec, #cloner, #arguments, #body)
        },
        // A transaction that nobody calls is dead code.
        braces: function.body.span(),
    })
}

fn value(options: &Options) -> TokenStream {
    let durable = options.facade();
    let isolation = options
        .value("isolation")
        .map(|variant| quote!(isolation: ::core::option::Option::Some(#durable::__private::Isolation::#variant)));
    let database = options.value("database").map(|name| quote!(database: ::core::option::Option::Some(#name)));
    let fields = isolation.into_iter().chain(options.fields()).chain(database);
    options_value(fields, &quote!(#durable::__private::TransactionOptions))
}

/// What callers of a faulty transaction see: the same call, and the body is still looked at by the compiler.
pub(super) fn stub(function: &Function, options: &Options) -> TokenStream {
    match &function.sig.output {
        ReturnType::Type(_, ty) if !Found::within(ty).unnamed.is_empty() => as_written(function),
        _ => halves(function, options).0.emit(&Parts::stub()),
    }
}

/// The type of the connection, without the reference.
fn connection(function: &Function) -> Type {
    let argument = function.arguments().next().expect("the checks have found it");
    match argument.ty {
        Type::Reference(reference) => (*reference.elem).clone(),
        other => other.clone(),
    }
}

/// The halves, and the lints that are off in the outer one. The connection is no argument of a call.
fn halves<'a>(function: &'a Function, options: &Options) -> (Halves<'a>, TokenStream) {
    let mut halves = Halves::of(function);
    let place = function.connection().map(|place| place + usize::from(function.sig.receiver().is_some()));
    let inputs = std::mem::take(&mut halves.outer.inputs).into_iter().enumerate();
    halves.outer.inputs = inputs.filter(|(number, _)| Some(*number) != place).map(|(_, input)| input).collect();
    let Named { common, fresh } = lifetimes::give_names(&mut halves.outer, halves.method, false);
    // All of it stands where the type does, and so does an error in it.
    let returned = function.returned();
    let (first, last) = ends(&returned);
    let durable = options.facade().at(first);
    let (open, close) = (quote_spanned!(first=> -> #durable::TransactionCall<), quote_spanned!(last=> >));
    halves.outer.output = parse_quote!(#open #common, #returned #close);
    (halves, lints_of_lifetimes(function, fresh))
}
