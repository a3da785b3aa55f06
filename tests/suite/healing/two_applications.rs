//! Two applications on one schema: the second one is refused, because each would run the other's workflows.

use durable::prelude::*;

use crate::support::{TestDatabase, database_tests};

database_tests! {
    a_schema_belongs_to_the_application_that_was_launched_on_it_first,
}

async fn a_schema_belongs_to_the_application_that_was_launched_on_it_first(database: &TestDatabase) {
    let builder = |name: &str| Durable::builder(name).system_database(database.url()).schema(database.schema());
    let shop = builder("shop").launch().await.unwrap();
    let error = builder("bank").launch().await.expect_err("it would run the workflows of the shop");
    let text = error.to_string();
    assert_eq!(error.kind(), durable::ErrorKind::Config, "{text}");
    for part in ["\"shop\"", "\"bank\"", "of its own", ".share_schema()"] {
        assert!(text.contains(part), "{text}");
    }
    let again = builder("shop").launch().await.unwrap();
    let part = builder("worker").share_schema().launch().await.unwrap();
    for app in [again, part, shop] {
        app.shutdown().await;
    }
    builder("bank").launch().await.expect_err("it belongs to the shop for good");
}
