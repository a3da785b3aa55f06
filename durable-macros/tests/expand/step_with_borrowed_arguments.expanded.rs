fn call_external_api<'durable>(data: &'durable str, n: u32) -> ::durable::StepCall<'durable, Result<String>> {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body(data: &str, n: u32) -> Result<String> {
        client().get(data, n).await
    }
    #[allow(clippy::needless_update)]
    static __STEP: ::durable::__private::Step = ::durable::__private::Step {
        name: "call_external_api",
        options: ::durable::__private::StepOptions {
            retries: 10,
            backoff: ::core::time::Duration::from_millis(90000),
            timeout: ::core::option::Option::Some(::core::time::Duration::from_millis(500)),
            outside: false,
            ..::durable::__private::StepOptions::DEFAULT
        },
    };
    let arguments = (data, n);
    let mockable = ::durable::__private::mockable!(&arguments, (data, n,));
    ::durable::__private::step(
        &__STEP,
        ::durable::__private::codec!(Result<String>),
        ::core::option::Option::Some(::core::clone::Clone::clone),
        mockable,
        arguments,
        |(data, n)| __body(data, n),
    )
}
