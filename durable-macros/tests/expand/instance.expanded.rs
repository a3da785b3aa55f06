impl Processor {
    const LIMIT: u32 = { 3 };
    fn limit(&self) -> u32 {
        Self::LIMIT
    }
    #[doc(hidden)]
    #[allow(dead_code)]
    #[allow(clippy::too_many_arguments, clippy::unused_async, clippy::use_self)]
    async fn __durable_process(&self, mut day: NaiveDate, next: Option<Processor>) -> Result<Value> {
        self.fetch(day, next).await
    }
    #[allow(dead_code, clippy::type_complexity, clippy::use_self)]
    /// Docs.
    pub fn process(&self, day: NaiveDate, next: Option<Processor>) -> ::durable::WorkflowCallOf<Result<Value>> {
        #[allow(clippy::needless_update)]
        static __WORKFLOW: (
            ::durable::__private::Workflow,
            fn(&NaiveDate, &Option<Processor>) -> ::durable::__private::Arguments,
            fn() -> ::durable::__private::Codec<Result<Value>>,
        ) = (
            ::durable::__private::Workflow {
                name: "Processor::process",
                module: ::core::module_path!(),
                function: "process",
                file: ::core::file!(),
                line: ::core::line!(),
                fingerprint: ::durable::__private::Fingerprint::new(-7337479827233033893i64),
                options: ::durable::__private::WorkflowOptions {
                    max_recoveries: 5,
                    ..::durable::__private::WorkflowOptions::DEFAULT
                },
                run: |arguments| {
                    let this = arguments.instance::<Processor>()?;
                    let day = arguments.take::<NaiveDate>("day")?;
                    let next = arguments.take::<Option<Processor>>("next")?;
                    ::core::result::Result::Ok(::durable::__private::run((__WORKFLOW.2)(), async move {
                        <Processor>::__durable_process(&this, day, next).await
                    }))
                },
            },
            |day, next| {
                ::durable::__private::Arguments::new()
                    .with::<NaiveDate>("day", day)
                    .with::<Option<Processor>>("next", next)
            },
            || ::durable::__private::codec!(Result<Value>),
        );
        ::durable::__private::inventory::submit!(::durable::__private::Registered(&__WORKFLOW.0));
        ::durable::__private::call_on::<Result<Value>, Processor>(
            &__WORKFLOW.0,
            (__WORKFLOW.2)(),
            self,
            (__WORKFLOW.1)(&day, &next),
        )
    }
}
