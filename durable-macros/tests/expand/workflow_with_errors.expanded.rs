::core::compile_error! {
    "`retries` is an option of `#[step]`; `#[workflow]` takes `name`, `max_recoveries`, `timeout`, `queue`, `version`, `nondeterminism`, `crate`"
}
::core::compile_error! {
    "a function can have one of `#[workflow]`, `#[step]` and `#[transaction]`: remove `#[step]`, or move it to a function that this one calls"
}
::core::compile_error! {
    "a workflow is an `async fn`: write `async` before `fn`"
}
::core::compile_error! {
    "a workflow cannot be generic, because recovery finds it by its name: write one for each type, or take an `enum`"
}
::core::compile_error! {
    "a workflow outlives its caller, so its arguments are owned: take `String`"
}
#[allow(unused, clippy::all)]
pub fn checkout<T>(order: T, id: &str) -> ::durable::WorkflowCallOf<Result<Receipt>> {
    async fn __body<T>(order: T, id: &str) -> Result<Receipt> {
        charge(order, id)
    }
    ::core::unreachable!()
}
