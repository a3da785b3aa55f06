#[durable::test]
async fn ships(app: TestApp) {
    app.list_workflows(Filter::new()).await.unwrap();
}

#[durable::test(postgres)]
#[should_panic(expected = "out of tea")]
async fn runs_out() -> durable::Result<()> {
    Ok(())
}
