#[::core::prelude::v1::test]
fn ships() {
    #[allow(clippy::unused_async)]
    async fn __body(app: TestApp) {
        app.list_workflows(Filter::new()).await.unwrap();
    }
    ::durable::testing::run(
        ::durable::testing::TestOptions { name: ::core::concat!(::core::module_path!(), "::ships"), postgres: false },
        |app| ::durable::__private::Box::pin(__body(app)),
    )
}
#[::core::prelude::v1::test]
#[should_panic(expected = "out of tea")]
fn runs_out() -> durable::Result<()> {
    #[allow(clippy::unused_async)]
    async fn __body() -> durable::Result<()> {
        Ok(())
    }
    ::durable::testing::run(
        ::durable::testing::TestOptions { name: ::core::concat!(::core::module_path!(), "::runs_out"), postgres: true },
        |_| ::durable::__private::Box::pin(__body()),
    )
}
