::core::compile_error! {
    "`retries` is an option of `#[step]`; `#[workflow]` takes `name`, `max_recoveries`, `timeout`, `queue`, `nondeterminism`, `crate`"
}
::core::compile_error! {
    "a function is one thing only: take `#[step]` away, or put it on a function of its own that this one calls"
}
::core::compile_error! {
    "a workflow is an `async fn`: write `async` before `fn`"
}
::core::compile_error! {
    "a workflow is found again by its name after a restart, so it cannot be generic: write one for each type, or take an enum"
}
::core::compile_error! {
    "a workflow outlives its caller, so its arguments are owned: take `String`"
}
#[allow(unused, clippy::all)]
pub fn checkout<T>(
    order: T,
    id: &str,
) -> ::durable::WorkflowCall<
    <Result<Receipt> as ::durable::__private::Returned>::Ok,
    <Result<Receipt> as ::durable::__private::Returned>::Err,
> {
    async fn __body<T>(order: T, id: &str) -> Result<Receipt> {
        charge(order, id)
    }
    ::core::unreachable!()
}
