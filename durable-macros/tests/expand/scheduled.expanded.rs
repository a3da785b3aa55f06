#[allow(dead_code, clippy::type_complexity)]
/// Docs.
pub fn daily_backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> ::durable::WorkflowCallOf<Result<String>> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    async fn __body(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<String> {
        todo!()
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::durable::__private::Workflow,
        fn(&DateTime<Utc>, &DateTime<Utc>) -> ::durable::__private::Arguments,
        fn() -> ::durable::__private::Codec<Result<String>>,
    ) = (
        ::durable::__private::Workflow {
            name: "backup",
            module: ::core::module_path!(),
            function: "daily_backup",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::durable::__private::Fingerprint::new(-7202313991939749056i64),
            options: ::durable::__private::WorkflowOptions::DEFAULT,
            run: |arguments| {
                ::core::result::Result::Ok(::durable::__private::run(
                    (__WORKFLOW.2)(),
                    __body(arguments.take::<DateTime<Utc>>("scheduled")?, arguments.take::<DateTime<Utc>>("actual")?),
                ))
            },
        },
        |scheduled, actual| {
            ::durable::__private::Arguments::new()
                .with::<DateTime<Utc>>("scheduled", scheduled)
                .with::<DateTime<Utc>>("actual", actual)
        },
        || ::durable::__private::codec!(Result<String>),
    );
    ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
    ::durable::__private::inventory::submit!(::durable::__private::RegisteredSchedule(
        ::durable::__private::Schedule {
            workflow: &__WORKFLOW.0,
            cron: "0 2 * * *",
            tz: "Europe/Warsaw",
            misfire: ::durable::__private::Misfire::Once,
            overlap: ::durable::__private::Overlap::Skip,
            arguments: __WORKFLOW.1,
        }
    ));
    ::durable::__private::call::<Result<String>>(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)(&scheduled, &actual))
}
#[allow(dead_code, clippy::type_complexity)]
fn refresh(due: DateTime<Utc>, actual: chrono::DateTime<chrono::Utc>) -> ::renamed::WorkflowCallOf<Result<()>> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    async fn __body(due: DateTime<Utc>, actual: chrono::DateTime<chrono::Utc>) -> Result<()> {
        todo!()
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::renamed::__private::Workflow,
        fn(&DateTime<Utc>, &chrono::DateTime<chrono::Utc>) -> ::renamed::__private::Arguments,
        fn() -> ::renamed::__private::Codec<Result<()>>,
    ) = (
        ::renamed::__private::Workflow {
            name: "refresh",
            module: ::core::module_path!(),
            function: "refresh",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::renamed::__private::Fingerprint::new(-2700553508217805322i64),
            options: ::renamed::__private::WorkflowOptions::DEFAULT,
            run: |arguments| {
                ::core::result::Result::Ok(::renamed::__private::run(
                    (__WORKFLOW.2)(),
                    __body(
                        arguments.take::<DateTime<Utc>>("due")?,
                        arguments.take::<chrono::DateTime<chrono::Utc>>("actual")?,
                    ),
                ))
            },
        },
        |due, actual| {
            ::renamed::__private::Arguments::new()
                .with::<DateTime<Utc>>("due", due)
                .with::<chrono::DateTime<chrono::Utc>>("actual", actual)
        },
        || ::renamed::__private::codec!(Result<()>),
    );
    ::renamed::__private::inventory::submit!(::renamed::__private::Registered(&__WORKFLOW.0));
    ::renamed::__private::inventory::submit!(::renamed::__private::RegisteredSchedule(
        ::renamed::__private::Schedule {
            workflow: &__WORKFLOW.0,
            cron: "@hourly",
            tz: "UTC",
            misfire: ::renamed::__private::Misfire::Skip,
            overlap: ::renamed::__private::Overlap::Allow,
            arguments: __WORKFLOW.1,
        }
    ));
    ::renamed::__private::call::<Result<()>>(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)(&due, &actual))
}
