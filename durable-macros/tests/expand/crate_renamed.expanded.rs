#[allow(dead_code, clippy::type_complexity)]
fn checkout(order: Order) -> ::renamed::WorkflowCallOf<Result<Receipt>> {
    #[allow(clippy::too_many_arguments, clippy::unused_async)]
    async fn __body(order: Order) -> Result<Receipt> {
        charge(order).await
    }
    #[allow(clippy::needless_update)]
    static __WORKFLOW: (
        ::renamed::__private::Workflow,
        fn(&Order) -> ::renamed::__private::Arguments,
        fn() -> ::renamed::__private::Codec<Result<Receipt>>,
    ) = (
        ::renamed::__private::Workflow {
            name: "checkout",
            module: ::core::module_path!(),
            function: "checkout",
            file: ::core::file!(),
            line: ::core::line!(),
            fingerprint: ::renamed::__private::Fingerprint::new(-1172374725774434001i64),
            options: ::renamed::__private::WorkflowOptions::DEFAULT,
            run: |arguments| {
                ::core::result::Result::Ok(::renamed::__private::run(
                    (__WORKFLOW.2)(),
                    __body(arguments.take::<Order>("order")?),
                ))
            },
        },
        |order| ::renamed::__private::Arguments::new().with::<Order>("order", order),
        || ::renamed::__private::codec!(Result<Receipt>),
    );
    ::renamed::__private::inventory::submit!(::renamed::__private::Registered(&__WORKFLOW.0));
    ::renamed::__private::call::<Result<Receipt>>(&__WORKFLOW.0, (__WORKFLOW.2)(), (__WORKFLOW.1)(&order))
}
fn digest(data: Vec<u8>) -> ::renamed::StepCall<'static, u64> {
    #[allow(
        clippy::too_many_arguments,
        clippy::type_complexity,
        clippy::needless_pass_by_value,
        clippy::missing_const_for_fn
    )]
    fn __body(data: Vec<u8>) -> u64 {
        data.len()
    }
    #[allow(clippy::needless_update)]
    static __STEP: ::renamed::__private::Step =
        ::renamed::__private::Step { name: "digest", options: ::renamed::__private::StepOptions::DEFAULT };
    let arguments = (data,);
    let mockable = ::renamed::__private::mockable!(&arguments, (data,));
    ::renamed::__private::step(
        &__STEP,
        ::renamed::__private::codec!(u64),
        ::renamed::__private::cloner!(&arguments),
        mockable,
        arguments,
        |(data,)| ::renamed::__private::blocking(move || __body(data)),
    )
}
fn create_user<'durable>(id: &'durable str) -> ::renamed::TransactionCall<'durable, Result<()>> {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, clippy::unused_async)]
    async fn __body(tx: &mut PgConnection, id: &str) -> Result<()> {
        insert(tx, id).await
    }
    #[allow(clippy::needless_update)]
    static __TRANSACTION: ::renamed::__private::Transaction = ::renamed::__private::Transaction {
        name: "create_user",
        options: ::renamed::__private::TransactionOptions {
            isolation: ::core::option::Option::Some(::renamed::__private::Isolation::Serializable),
            ..::renamed::__private::TransactionOptions::DEFAULT
        },
    };
    ::renamed::__private::inventory::submit!(::renamed::__private::RegisteredTransaction {
        transaction: &__TRANSACTION,
        connection: ::core::any::type_name::<PgConnection>,
        file: ::core::file!(),
        line: ::core::line!(),
    });
    let arguments = (id,);
    ::renamed::__private::transaction::<PgConnection, _, _, _>(
        &__TRANSACTION,
        ::renamed::__private::codec!(Result<()>),
        |(id,)| (::core::clone::Clone::clone(id),),
        arguments,
        |tx: &mut PgConnection, (id,), _| ::renamed::__private::Box::pin(__body(tx, id)),
    )
}
impl Shop {
    #[doc(hidden)]
    #[allow(dead_code)]
    #[allow(clippy::too_many_arguments, clippy::unused_async, clippy::use_self)]
    async fn __durable_restock(&self, item: Item, count: u32) -> Result<()> {
        self.order(item, count).await
    }
    #[allow(dead_code, clippy::type_complexity, clippy::use_self)]
    fn restock(&self, item: Item, count: u32) -> ::renamed::WorkflowCallOf<Result<()>> {
        #[allow(clippy::needless_update)]
        static __WORKFLOW: (
            ::renamed::__private::Workflow,
            fn(&Item, &u32) -> ::renamed::__private::Arguments,
            fn() -> ::renamed::__private::Codec<Result<()>>,
        ) = (
            ::renamed::__private::Workflow {
                name: "Shop::restock",
                module: ::core::module_path!(),
                function: "restock",
                file: ::core::file!(),
                line: ::core::line!(),
                fingerprint: ::renamed::__private::Fingerprint::new(-641616684478583186i64),
                options: ::renamed::__private::WorkflowOptions::DEFAULT,
                run: |arguments| {
                    let this = arguments.instance::<Shop>()?;
                    let item = arguments.take::<Item>("item")?;
                    let count = arguments.take::<u32>("count")?;
                    ::core::result::Result::Ok(::renamed::__private::run((__WORKFLOW.2)(), async move {
                        <Shop>::__durable_restock(&this, item, count).await
                    }))
                },
            },
            |item, count| ::renamed::__private::Arguments::new().with::<Item>("item", item).with::<u32>("count", count),
            || ::renamed::__private::codec!(Result<()>),
        );
        ::renamed::__private::inventory::submit!(::renamed::__private::Registered(&__WORKFLOW.0));
        ::renamed::__private::call_on::<Result<()>, Shop>(
            &__WORKFLOW.0,
            (__WORKFLOW.2)(),
            self,
            (__WORKFLOW.1)(&item, &count),
        )
    }
}
::core::compile_error! {
    "a durable test is an `async fn`: write `async` before `fn`"
}
#[allow(dead_code)]
async fn sells() {
    #[allow(clippy::unused_async)]
    async fn sells(app: TestApp) {
        sell(app).await;
    }
    ::renamed::testing::run(
        ::renamed::testing::TestOptions {
            name: ::core::concat!(::core::module_path!(), "::sells").into(),
            postgres: false,
            timeout: ::core::option::Option::None,
            builder: ::renamed::testing::same_builder,
        },
        ::renamed::testing::no_set_up,
        |app| ::renamed::__private::Box::pin(sells(app)),
    )
}
