//! `#[transaction]`: a step whose record commits together with its SQL.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, ReturnType, Type, parse_quote};

use crate::check;
use crate::codegen::{as_written, codec, end_spans, lifetime_lints, options_struct, recorded_name};
use crate::crate_path::CratePath;
use crate::diagnostics::Diagnostics;
use crate::function::{Argument, Function};
use crate::lifetimes::{self, NamedLifetimes};
use crate::options::Options;
use crate::split::{Generated, SplitFunction};
use crate::types::{TypeContents, source_text};

// Input:
//     #[transaction(read_only)]
//     async fn find(tx: &mut PgConnection, id: &str) -> Result<String> { .. }
// Output:
//     fn find<'durable>(id: &'durable str) -> TransactionCall<'durable, Result<String>> {
//         async fn __body(tx: &mut PgConnection, id: &str) -> Result<String> { .. }
//         static __TRANSACTION: Transaction = Transaction { name: "find", options: TransactionOptions { read_only: true, .. } };
//         inventory::submit!(RegisteredTransaction { transaction: &__TRANSACTION, connection: type_name::<PgConnection>, .. });
//         let arguments = (id,);
//         transaction::<PgConnection, _, _, _>(&__TRANSACTION, codec!(Result<String>), |(id,)| (Clone::clone(id),), arguments,
//             |tx: &mut PgConnection, (id,), _| Box::pin(__body(tx, id)))
//     }
pub(super) fn expand(function: &Function, options: &Options) -> TokenStream {
    let (split, call_lints) = split(function, options);
    let span = function.sig.ident.span();
    let name = recorded_name(function, options);
    let crate_path = options.crate_path();
    let (durable, durable_at_name) = (&crate_path, crate_path.spanned(span));
    let codec = codec(function, &crate_path);
    let connection = connection_type(function);

    // In the closures `self` is an argument like the others.
    let (this, tx) = (Ident::new("this", Span::mixed_site()), Ident::new("tx", Span::mixed_site()));
    let (mut values, mut names, mut cloned_names) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(receiver) = function.sig.receiver() {
        values.push(receiver.self_token.to_token_stream());
        cloned_names.push(Ident::new("this", receiver.self_token.span.resolved_at(Span::mixed_site())));
        names.push(this);
    }
    for argument in function.arguments().skip(1) {
        values.push(argument.name.to_token_stream());
        // The error about an argument that is not `Clone` appears at its type.
        let mut name = argument.name.clone();
        name.set_span(end_spans(&argument.ty.to_token_stream()).0);
        cloned_names.push(name);
        names.push(argument.name);
    }
    let mut inputs = names.clone();
    inputs.insert(usize::from(function.sig.receiver().is_some()), tx.clone());
    let (values, pattern) = (quote!((#(#values,)*)), quote!((#(#names,)*)));
    let cloner = if cloned_names.is_empty() {
        quote!(::core::clone::Clone::clone)
    } else {
        let clones = cloned_names.iter().map(|name| quote_spanned!(name.span()=> ::core::clone::Clone::clone(#name)));
        quote!(|(#(#cloned_names,)*)| (#(#clones,)*))
    };
    let body_path = split.body_path();
    let body = quote_spanned! {span=>
        |#tx: &mut #connection, #pattern, _| #durable_at_name::__private::Box::pin(#body_path(#(#inputs),*))
    };

    let arguments = Ident::new("arguments", Span::mixed_site());
    // The error about a type that is not a connection appears where the type is written.
    let path = quote_spanned!(span=> #durable_at_name::__private::transaction::<#connection, _, _, _>);
    let options = options_value(options);
    let registered = registered(&connection, &crate_path, span);
    split.expand(&Generated {
        call_lints,
        // Lints about the signature report the call function. An `async fn` without `.await` is fine here.
        body_lints: quote!(#[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]),
        statements: quote! {
            #[allow(clippy::needless_update)]
            static __TRANSACTION: #durable::__private::Transaction =
                #durable::__private::Transaction { name: #name, options: #options };
            #registered
            let #arguments = #values;
            #path(&__TRANSACTION, #codec, #cloner, #arguments, #body)
        },
        // The compiler reports a transaction that is never called.
        brace_span: function.body.span(),
    })
}

/// The registry entry by which the launch finds a transaction for another kind of database. It cannot use `Self`.
fn registered(connection: &Type, durable: &CratePath, span: Span) -> Option<TokenStream> {
    if mentions_self(connection.to_token_stream()) {
        return None;
    }
    let line = quote_spanned!(span=> ::core::line!());
    Some(quote! {
        #durable::__private::inventory::submit!(#durable::__private::RegisteredTransaction {
            transaction: &__TRANSACTION,
            connection: ::core::any::type_name::<#connection>,
            file: ::core::file!(),
            line: #line,
        });
    })
}

fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

fn options_value(options: &Options) -> TokenStream {
    let durable = options.crate_path();
    let isolation = options
        .value("isolation")
        .map(|variant| quote!(isolation: ::core::option::Option::Some(#durable::__private::Isolation::#variant)));
    let database = options.value("database").map(|name| quote!(database: ::core::option::Option::Some(#name)));
    let fields = isolation.into_iter().chain(options.struct_fields()).chain(database);
    options_struct(fields, &quote!(#durable::__private::TransactionOptions))
}

/// For a transaction with errors: callers see the same type, and the compiler still checks the body.
pub(super) fn placeholder(function: &Function, options: &Options) -> TokenStream {
    match &function.sig.output {
        ReturnType::Type(_, ty) if !TypeContents::of(ty).impl_traits.is_empty() => as_written(function),
        _ => split(function, options).0.expand(&Generated::placeholder()),
    }
}

/// The type of the connection, without the reference.
fn connection_type(function: &Function) -> Type {
    let argument = function.arguments().next().expect("`check_connection` found the connection");
    match argument.ty {
        Type::Reference(reference) => (*reference.elem).clone(),
        other => other.clone(),
    }
}

/// The two functions, and the lint levels of the call function. The connection is not an argument of a call.
fn split<'a>(function: &'a Function, options: &Options) -> (SplitFunction<'a>, TokenStream) {
    let mut split = SplitFunction::new(function);
    let connection = function.connection_index().map(|index| index + usize::from(function.sig.receiver().is_some()));
    let inputs = std::mem::take(&mut split.call.inputs).into_iter().enumerate();
    split.call.inputs = inputs.filter(|(index, _)| Some(*index) != connection).map(|(_, input)| input).collect();
    let NamedLifetimes { call, has_single_use } =
        lifetimes::name_lifetimes(&mut split.call, split.body_is_method, false);
    // The whole type has the span of the user's return type, and so has an error about it.
    let returned = function.return_type();
    let (first, last) = end_spans(&returned);
    let durable = options.crate_path().spanned(first);
    let (open, close) = (quote_spanned!(first=> -> #durable::TransactionCall<), quote_spanned!(last=> >));
    split.call.output = parse_quote!(#open #call, #returned #close);
    (split, lifetime_lints(function, has_single_use))
}

const FORM: &str =
    "a transaction takes a connection as its first argument: `tx: &mut PgConnection` or `tx: &mut SqliteConnection`";

pub(super) fn check(function: &Function, options: &Options, diagnostics: &mut Diagnostics) {
    check::one_attribute(function, options, diagnostics);
    check::is_async(function, "a transaction", diagnostics);
    check::qualifiers(function, "a transaction", diagnostics);
    check::conditional_arguments(function, diagnostics);
    check_connection(function, diagnostics);
    check::lost_changes(function, "a transaction's", function.connection_index(), diagnostics);
    check::owned_output(function, "a transaction's", diagnostics);
    check::recorded_name(function, options, diagnostics);
}

/// The engine opens the transaction, lends its connection to the body, and commits. Any `&mut` first argument may be a
/// connection, so that aliases work; type names only serve to explain the mistakes.
fn check_connection(function: &Function, diagnostics: &mut Diagnostics) {
    match function.connection_index().map(|index| (index, function.arguments().nth(index))) {
        Some((0, Some(first))) => check_first_argument(function, first.ty, diagnostics),
        Some((_, Some(later))) => {
            let message = format!("{FORM}; move this one before the others");
            diagnostics.error_on(pattern_and_type(&later), message);
        }
        _ => match (function.arguments().next(), function.sig.receiver()) {
            (Some(first), _) => {
                diagnostics.error_on(pattern_and_type(&first), format!("{FORM}; add it before this one"));
            }
            (None, Some(receiver)) => diagnostics.error_on(receiver, format!("{FORM}; add it after `self`")),
            (None, None) => diagnostics.error_at(function.sig.paren_token.span.close(), FORM),
        },
    }
}

fn check_first_argument(function: &Function, ty: &Type, diagnostics: &mut Diagnostics) {
    match ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            check_connection_type(function, &reference.elem, diagnostics);
        }
        Type::Reference(reference) => {
            let connection = source_text(reference.elem.to_token_stream());
            let message = format!("SQL needs exclusive access to the connection: write `&mut {connection}`");
            diagnostics.error_on(ty, message);
        }
        ty => {
            let connection = source_text(ty.to_token_stream());
            diagnostics.error_on(ty, format!("the engine owns the connection and lends it: write `&mut {connection}`"));
        }
    }
}

/// The type of the connection selects the database in which the engine commits.
fn check_connection_type(function: &Function, ty: &Type, diagnostics: &mut Diagnostics) {
    const NOT_NAMED: &str =
        "the connection's type says which database to use: write `PgConnection` or `SqliteConnection`";
    const NOT_A_CONNECTION: &str =
        "the engine begins and commits the transaction: take `&mut PgConnection` or `&mut SqliteConnection`";
    match ty {
        Type::ImplTrait(_) | Type::TraitObject(_) | Type::Infer(_) => diagnostics.error_on(ty, NOT_NAMED),
        Type::Path(path) => {
            let is_param =
                |it: &GenericParam| matches!(it, GenericParam::Type(param) if path.path.is_ident(&param.ident));
            if function.sig.generics.params.iter().any(is_param) {
                diagnostics.error_on(ty, NOT_NAMED);
            } else if path.path.segments.last().is_some_and(|it| {
                let name = it.ident.to_string();
                name.ends_with("Transaction") || name.ends_with("Pool")
            }) {
                diagnostics.error_on(ty, NOT_A_CONNECTION);
            }
        }
        _ => {}
    }
}

fn pattern_and_type(argument: &Argument<'_>) -> impl ToTokens {
    let (pattern, ty) = (argument.pattern, argument.ty);
    quote!(#pattern: #ty)
}
