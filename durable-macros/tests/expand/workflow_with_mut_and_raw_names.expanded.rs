#[allow(dead_code, clippy::type_complexity)]
fn r#loop(r#type: Vec<String>, _unused: bool) -> ::durable::WorkflowCall<String> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    async fn __body(mut r#type: Vec<String>, _unused: bool) -> durable::Result<String> {
        r#type.pop().ok_or_else(|| durable::Error::msg("nothing"))
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::durable::__private::Workflow,
        fn(&Vec<String>, &bool) -> ::durable::__private::Arguments,
        fn() -> ::durable::__private::Codec<durable::Result<String>>,
    ) = (
        ::durable::__private::Workflow {
            name: "loop",
            module: ::core::module_path!(),
            function: "loop",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::durable::__private::Fingerprint::new(1356950903054587146i64),
            options: ::durable::__private::WorkflowOptions::DEFAULT,
            run: |arguments| {
                ::core::result::Result::Ok(::durable::__private::run(
                    (__WORKFLOW.2)(),
                    __body(arguments.take::<Vec<String>>("type")?, arguments.take::<bool>("_unused")?),
                ))
            },
        },
        |r#type, _unused| {
            ::durable::__private::Arguments::new().with::<Vec<String>>("type", r#type).with::<bool>("_unused", _unused)
        },
        || ::durable::__private::codec!(durable::Result<String>),
    );
    ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
    ::durable::__private::call::<durable::Result<String>>(
        &__WORKFLOW.0,
        (__WORKFLOW.2)(),
        (__WORKFLOW.1)(&r#type, &_unused),
    )
}
