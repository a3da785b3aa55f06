::core::compile_error! {
    "a durable test is an `async fn`: write `async` before `fn`"
}
#[allow(dead_code)]
async fn ships() {
    #[allow(clippy::unused_async)]
    async fn ships(app: TestApp) {
        app.list_workflows(Filter::new()).await.unwrap();
    }
    ::durable::testing::run(
        ::durable::testing::TestOptions {
            name: ::core::concat!(::core::module_path!(), "::ships").into(),
            postgres: false,
            timeout: ::core::option::Option::None,
            builder: ::durable::testing::same_builder,
        },
        ::durable::testing::no_set_up,
        |app| ::durable::__private::Box::pin(ships(app)),
    )
}
::core::compile_error! {
    "a durable test is an `async fn`: write `async` before `fn`"
}
#[should_panic(expected = "out of tea")]
#[allow(dead_code)]
async fn runs_out() -> durable::Result<()> {
    #[allow(clippy::unused_async)]
    async fn runs_out() -> durable::Result<()> {
        Ok(())
    }
    ::durable::testing::run(
        ::durable::testing::TestOptions {
            name: ::core::concat!(::core::module_path!(), "::runs_out").into(),
            postgres: true,
            timeout: ::core::option::Option::None,
            builder: ::durable::testing::same_builder,
        },
        ::durable::testing::no_set_up,
        |_| ::durable::__private::Box::pin(runs_out()),
    )
}
