fn tick() -> ::durable::StepCall<'static, ()> {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body() {
        clock().tick().await;
    }
    #[allow(clippy::needless_update)]
    static __STEP: ::durable::__private::Step =
        ::durable::__private::Step { name: "tick", options: ::durable::__private::StepOptions::DEFAULT };
    let arguments = ();
    let mockable = ::durable::__private::mockable!(&arguments, ());
    ::durable::__private::step(
        &__STEP,
        ::durable::__private::codec!(()),
        ::durable::__private::cloner!(&arguments),
        mockable,
        arguments,
        |()| __body(),
    )
}
