//! What an attribute refuses, each check with its paragraph. A message says what to write instead.

mod instance;
mod queue;
mod scheduled;
mod transaction;

use quote::{ToTokens, quote};
use syn::{FnArg, GenericParam, Pat, ReceiverKind, ReturnType, Safety, Type, TypeReference};

use crate::attributes;
use crate::determinism;
use crate::faults::Faults;
use crate::function::Function;
use crate::options::{self, Options};
use crate::types::{Found, is_no_result, owned, show};

pub(crate) use self::instance::{instance, workflow_of_instance};
pub(crate) use self::queue::queue;
pub(crate) use self::scheduled::scheduled_alone;
pub(crate) use self::transaction::transaction;

pub(crate) fn workflow(function: &Function, options: &Options, faults: &mut Faults) {
    check_free_function(function, faults);
    scheduled::scheduled(function, options, faults);
    check_any_workflow(function, options, faults);
}

/// What holds with and without an instance.
fn check_any_workflow(function: &Function, options: &Options, faults: &mut Faults) {
    check_one_attribute(function, options, faults);
    check_async(function, "a workflow", faults);
    check_qualifiers(function, "a workflow", faults);
    check_not_generic(
        function,
        "a workflow is found again by its name after a restart, so it cannot be generic: write one for each type, or take an enum",
        faults,
    );
    check_names_of_arguments(function, faults);
    check_conditions_of_arguments(function, faults);
    check_owned_arguments(function, faults);
    check_returns(function, faults);
    check_output(function, "a workflow's", faults);
    check_name(function, options, faults);
    check_determinism(function, options, faults);
}

pub(crate) fn step(function: &Function, options: &Options, faults: &mut Faults) {
    check_one_attribute(function, options, faults);
    check_qualifiers(function, "a step", faults);
    check_conditions_of_arguments(function, faults);
    check_owned_if_blocking(function, faults);
    check_repeatable(function, options, faults);
    check_retry_if(function, options, faults);
    check_output(function, "a step's", faults);
    check_name(function, options, faults);
}

pub(crate) fn test(function: &Function, options: &Options, faults: &mut Faults) {
    check_one_attribute(function, options, faults);
    check_one_test(function, faults);
    check_async(function, "a durable test", faults);
    check_qualifiers(function, "a durable test", faults);
    check_not_generic(function, "a test runs once, so it cannot be generic", faults);
    check_test_arguments(function, faults);
    check_one_store(options, faults);
}

/// A function is one thing. The other attribute is not expanded then, so that the fault is told once.
fn check_one_attribute(function: &Function, options: &Options, faults: &mut Faults) {
    for attribute in &function.attrs {
        if let Some(other) = attributes::ours(attribute, &options.facade().name()) {
            let mend = format!("take `#[{other}]` away, or put it on a function of its own that this one calls");
            faults.on(attribute, format!("a function is one thing only: {mend}"));
        }
    }
}

/// Waiting is what a workflow does most, and only an `async fn` can be put aside meanwhile.
fn check_async(function: &Function, what: &str, faults: &mut Faults) {
    if function.sig.asyncness.is_none() {
        faults.on(function.sig.fn_token, format!("{what} is an `async fn`: write `async` before `fn`"));
    }
}

/// The engine calls the function, with arguments that it has read back, as plain Rust.
fn check_qualifiers(function: &Function, what: &str, faults: &mut Faults) {
    let sig = &function.sig;
    if let Some(token) = &sig.constness {
        faults.on(token, format!("{what} cannot be `const`: it runs when it is called"));
    }
    if let Safety::Unsafe(token) = &sig.safety {
        faults.on(
            token,
            format!("{what} cannot be `unsafe`: put an `unsafe` block inside, with the reason why it is sound"),
        );
    }
    if let Some(abi) = &sig.abi {
        faults.on(abi, format!("{what} cannot be `extern`: write a plain function that calls the foreign one"));
    }
    if let Some(variadic) = &sig.variadic {
        faults.on(variadic, format!("{what} has a fixed number of arguments: take a `Vec`"));
    }
}

/// After a restart there is no object yet on which a method could be called, unless the block says which.
fn check_free_function(function: &Function, faults: &mut Faults) {
    if let Some(receiver) = function.sig.receiver() {
        let mend = "put `#[durable::instance]` on the `impl` block";
        let why = "a workflow that takes `self` is started on an object that is found again after a restart";
        faults.on(receiver, format!("{why}: {mend}"));
    } else if let Some(place) = function.mention_of_self() {
        let mend = "write the type instead, or take `&self` and put `#[durable::instance]` on the `impl` block";
        faults.at(place, format!("a workflow without `self` is found by its name alone, and knows no `Self`: {mend}"));
    }
}

/// A type parameter, or `impl Trait` in an argument, makes many functions of one.
fn check_not_generic(function: &Function, message: &str, faults: &mut Faults) {
    let generics = &function.sig.generics;
    if generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        let (open, params, close) = (&generics.lt_token, &generics.params, &generics.gt_token);
        faults.on(quote!(#open #params #close), message);
    }
    for argument in function.arguments() {
        for place in Found::within(argument.ty).unnamed {
            faults.on(place, message);
        }
    }
}

/// An argument is recorded under its name, and given back by it: the order of arguments can change between versions.
fn check_names_of_arguments(function: &Function, faults: &mut Faults) {
    for argument in function.arguments().filter(|argument| !argument.named) {
        let mend = match argument.pattern {
            Pat::Wild(_) => "name the argument, `_name` if it is not used: its name is what is recorded",
            _ => "name the argument, and take it apart in the body: its name is what is recorded",
        };
        faults.on(argument.pattern, mend);
    }
}

/// The generated calls name every argument, and cannot follow one that is there in some builds only.
fn check_conditions_of_arguments(function: &Function, faults: &mut Faults) {
    for argument in function.arguments() {
        for attribute in argument.attrs.iter().filter(|it| it.path().is_ident("cfg") || it.path().is_ident("cfg_attr"))
        {
            faults.on(attribute, "an argument cannot be conditional: put `#[cfg]` on the function, and write it twice");
        }
    }
}

/// A workflow outlives its caller, and the process: it has nothing to borrow from.
fn check_owned_arguments(function: &Function, faults: &mut Faults) {
    const WHY: &str = "a workflow outlives its caller, so its arguments are owned";
    for argument in function.arguments() {
        let found = Found::within(argument.ty);
        for reference in found.references {
            let mend = owned(&reference.elem).map(|owned| format!(": take `{owned}`")).unwrap_or_default();
            faults.on(reference, format!("{WHY}{mend}"));
        }
        for lifetime in found.lifetimes {
            faults.on(lifetime, format!("{WHY}: take a type without a lifetime, or `'static`"));
        }
    }
}

/// A blocking step moves to another thread, which can outlive the caller.
fn check_owned_if_blocking(function: &Function, faults: &mut Faults) {
    const MEND: &str = "a blocking step takes owned arguments, or make it `async`";
    if function.sig.asyncness.is_some() {
        return;
    }
    if let Some(receiver) = function.sig.receiver() {
        match &receiver.kind {
            ReceiverKind::Reference(..) => faults.on(receiver, MEND),
            ReceiverKind::Typed(_, ty) => check_owned(ty, MEND, faults),
            _ => {}
        }
    }
    for argument in function.arguments() {
        check_owned(argument.ty, MEND, faults);
    }
}

fn check_owned(ty: &Type, message: &str, faults: &mut Faults) {
    let found = Found::within(ty);
    for reference in found.references {
        faults.on(reference, message);
    }
    for lifetime in found.lifetimes {
        faults.on(lifetime, message);
    }
}

/// A second attempt gets the arguments again, and an exclusive borrow can be given away once.
fn check_repeatable(function: &Function, options: &Options, faults: &mut Faults) {
    const MEND: &str = "a step with `retries` gets its arguments anew for each attempt: take the value, or a `&`";
    if options.retries().is_some() {
        check_exclusive(function, None, MEND, faults);
    }
}

/// No exclusive borrow, in `self` or an argument other than the connection.
fn check_exclusive(function: &Function, connection: Option<usize>, message: &str, faults: &mut Faults) {
    if let Some(receiver) = function.sig.receiver()
        && let ReceiverKind::Reference(_, _, Some(_)) = receiver.kind
    {
        faults.on(receiver, message);
    }
    for (number, argument) in function.arguments().enumerate() {
        if let Type::Reference(TypeReference { mutability: Some(_), .. }) = argument.ty
            && Some(number) != connection
        {
            faults.on(argument.ty, message);
        }
    }
}

/// The predicate looks at an error, so there has to be one.
fn check_retry_if(function: &Function, options: &Options, faults: &mut Faults) {
    let Some(place) = options.place("retry_if") else { return };
    let infallible = match &function.sig.output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => is_no_result(ty),
    };
    if infallible {
        let mend = "return a `Result<T, E>`, or leave `retry_if` out";
        faults.at(place, format!("`retry_if` looks at the error of an attempt, and this step has none: {mend}"));
    }
}

/// A call can end with an error of the engine, so there has to be room for one. Any type that may stand for a `Result`
/// is left to the compiler; this is for those that everybody knows.
fn check_returns(function: &Function, faults: &mut Faults) {
    const FORM: &str = "a workflow returns `Result<T, E>`";
    match &function.sig.output {
        ReturnType::Default => {
            let place = function.sig.paren_token.span.close();
            faults.at(place, format!("{FORM}: write `-> durable::Result<()>`"));
        }
        ReturnType::Type(_, ty) if is_no_result(ty) => {
            let ty_text = show(ty.to_token_stream());
            faults.on(ty, format!("{FORM}: write `durable::Result<{ty_text}>`"));
        }
        ReturnType::Type(..) => {}
    }
}

/// What is read back after a restart has a name, and belongs to nobody else.
fn check_output(function: &Function, whose: &str, faults: &mut Faults) {
    let ReturnType::Type(_, ty) = &function.sig.output else { return };
    let found = Found::within(ty);
    for place in found.unnamed {
        faults.on(place, "name the type: it is read back after a restart");
    }
    for reference in found.references {
        let mend = owned(&reference.elem).map(|owned| format!(": return `{owned}`")).unwrap_or_default();
        faults.on(reference, format!("{whose} output is recorded and read back, so it is owned{mend}"));
    }
    for lifetime in found.lifetimes {
        faults.on(
            lifetime,
            format!("{whose} output is recorded and read back, so it is owned: return a type without a lifetime"),
        );
    }
}

/// The body runs again after a restart, with the same results of its steps, and has to come by the same way.
fn check_determinism(function: &Function, options: &Options, faults: &mut Faults) {
    if options.value("nondeterminism").is_none() {
        determinism::check(&function.body, faults);
    }
}

/// A name given as an option was checked when it was read.
fn check_name(function: &Function, options: &Options, faults: &mut Faults) {
    if options.value("name").is_none()
        && let Some(fault) = options::name_fault(&function.name())
    {
        faults.on(&function.sig.ident, format!("the name {fault}: give a shorter one with `name = \"..\"`"));
    }
}

/// Two harnesses would run it twice, and the other one without an engine.
fn check_one_test(function: &Function, faults: &mut Faults) {
    for attribute in &function.attrs {
        if attributes::is_test(attribute) {
            faults.on(attribute, "`#[durable::test]` makes it a test already: take this away");
        }
    }
}

/// The kit gives one thing.
fn check_test_arguments(function: &Function, faults: &mut Faults) {
    const FORM: &str = "a durable test takes nothing, or the application: `(app: TestApp)`";
    if let Some(receiver) = function.sig.receiver() {
        faults.on(receiver, FORM);
    }
    let second: Vec<&FnArg> = function.sig.inputs.iter().skip(1).collect();
    if !second.is_empty() {
        faults.on(quote!(#(#second),*), FORM);
    }
}

/// A test that should run on both is two tests that call one function.
fn check_one_store(options: &Options, faults: &mut Faults) {
    if let (Some(_), Some(second)) = (options.place("sqlite"), options.place("postgres")) {
        faults.at(second, "a test runs on one store: write two tests that call one function");
    }
}
