fn charge(card: Card) -> ::durable::StepCall<'static, Result<String>> {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body(card: Card) -> Result<String> {
        call(card).await
    }
    #[allow(clippy::needless_update)]
    static __STEP: ::durable::__private::Step = ::durable::__private::Step {
        name: "charge",
        options: ::durable::__private::StepOptions { retries: 3, ..::durable::__private::StepOptions::DEFAULT },
    };
    let arguments = (card,);
    let mockable = ::durable::__private::mockable!(&arguments, (card,));
    ::durable::__private::step(
        &__STEP,
        ::durable::__private::codec!(Result<String>),
        ::core::option::Option::Some(::core::clone::Clone::clone),
        mockable,
        arguments,
        |(card,)| __body(card),
    )
    .retry_if(errors::is_transient)
}
