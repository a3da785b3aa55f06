#[allow(dead_code, clippy::type_complexity)]
pub fn checkout(order: Order, attempt: u32) -> ::durable::WorkflowCallOf<Result<Receipt>> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    async fn __body(order: Order, attempt: u32) -> Result<Receipt> {
        charge(order, attempt).await
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::durable::__private::Workflow,
        fn(&Order, &u32) -> ::durable::__private::Arguments,
        fn() -> ::durable::__private::Codec<Result<Receipt>>,
    ) = (
        ::durable::__private::Workflow {
            name: "checkout",
            module: ::core::module_path!(),
            function: "checkout",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::durable::__private::Fingerprint::new(8750847521855752435i64),
            options: ::durable::__private::WorkflowOptions::DEFAULT,
            run: |arguments| {
                ::core::result::Result::Ok(::durable::__private::run(
                    (__WORKFLOW.2)(),
                    __body(arguments.take::<Order>("order")?, arguments.take::<u32>("attempt")?),
                ))
            },
        },
        |order, attempt| {
            ::durable::__private::Arguments::new().with::<Order>("order", order).with::<u32>("attempt", attempt)
        },
        || ::durable::__private::codec!(Result<Receipt>),
    );
    ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
    ::durable::__private::call::<Result<Receipt>>(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)(&order, &attempt))
}
