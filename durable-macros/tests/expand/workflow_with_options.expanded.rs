#[allow(dead_code, clippy::type_complexity)]
#[deprecated]
fn backup() -> ::durable::WorkflowCall<(), BackupError> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    #[tracing::instrument]
    async fn __body() -> Result<(), BackupError> {
        todo!()
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::durable::__private::Workflow,
        fn() -> ::durable::__private::Arguments,
        fn() -> ::durable::__private::Codec<Result<(), BackupError>>,
    ) = (
        ::durable::__private::Workflow {
            name: "nightly-backup",
            module: ::core::module_path!(),
            function: "backup",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::durable::__private::Fingerprint::new(1899606682773569821i64),
            options: ::durable::__private::WorkflowOptions {
                max_recoveries: 5,
                timeout: ::core::option::Option::Some(::core::time::Duration::from_millis(5400000)),
                version: ::core::option::Option::Some("2"),
                ..::durable::__private::WorkflowOptions::DEFAULT
            },
            run: |arguments| ::core::result::Result::Ok(::durable::__private::run((__WORKFLOW.2)(), __body())),
        },
        || ::durable::__private::Arguments::new(),
        || ::durable::__private::codec!(Result < (), BackupError >),
    );
    ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
    ::durable::__private::call::<Result<(), BackupError>>(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)())
}
