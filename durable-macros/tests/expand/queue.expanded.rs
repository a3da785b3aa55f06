/// Docs.
pub(crate) static TASKS: Queue = Queue::new("tasks").worker_concurrency(5);
const _: () = {
    ::durable::__private::inventory::submit!(::durable::__private::RegisteredQueue {
        queue: &TASKS,
        file: ::core::file!(),
        line: ::core::line!(),
    });
};
#[cfg(unix)]
static API: Queue = Queue::new("api").rate_limit(100, Duration::from_secs(60));
#[cfg(unix)]
const _: () = {
    ::renamed::__private::inventory::submit!(::renamed::__private::RegisteredQueue {
        queue: &API,
        file: ::core::file!(),
        line: ::core::line!(),
    });
};
#[allow(dead_code, clippy::type_complexity)]
fn backup() -> ::durable::WorkflowCallOf<Result<()>> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    async fn __body() -> Result<()> {
        todo!()
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::durable::__private::Workflow,
        fn() -> ::durable::__private::Arguments,
        fn() -> ::durable::__private::Codec<Result<()>>,
    ) = (
        ::durable::__private::Workflow {
            name: "backup",
            module: ::core::module_path!(),
            function: "backup",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::durable::__private::Fingerprint::new(899265282081681321i64),
            options: ::durable::__private::WorkflowOptions {
                queue: ::core::option::Option::Some(&crate::queues::TASKS),
                ..::durable::__private::WorkflowOptions::DEFAULT
            },
            run: |arguments| ::core::result::Result::Ok(::durable::__private::run((__WORKFLOW.2)(), __body())),
        },
        || ::durable::__private::Arguments::new(),
        || ::durable::__private::codec!(Result<()>),
    );
    ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
    ::durable::__private::call::<Result<()>>(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)())
}
