//! Filters with odd texts.

use durable::prelude::*;
use durable::testing::TestApp;
use durable::{ErrorKind, GroupBy};

use crate::support::app_tests;

app_tests! {
    an_error_is_found_by_each_part_of_its_text,
    an_empty_prefix_is_no_condition_of_a_bulk_change,
    a_text_with_a_nul_character_is_refused_before_the_database_is_asked,
}

#[workflow]
async fn ends_with_error(text: String) -> Result<()> {
    Err(Error::msg(text))
}

async fn an_error_is_found_by_each_part_of_its_text(app: TestApp) {
    let text = r#"Zażółć GĘŚLĄ at "C:\temp" 50% of a_b"#;
    ends_with_error(text.to_owned()).id("w").await.unwrap_err();
    for part in [text, "Zażółć", "GĘŚLĄ", "zaż", "\"C:", r"C:\temp", r"c:\TEMP", "50% of", "a_b", "AT"] {
        let found = app.list_workflows(Filter::new().error_contains(part)).await.unwrap();
        assert_eq!(found.len(), 1, "{part}");
    }
    for other in ["50_ of", "aXb", "c:temp", "5%f"] {
        let found = app.list_workflows(Filter::new().error_contains(other)).await.unwrap();
        assert_eq!(found.len(), 0, "{other}");
    }
}

async fn an_empty_prefix_is_no_condition_of_a_bulk_change(app: TestApp) {
    ends_with_error("x".to_owned()).id("w").await.unwrap_err();
    let refused = app.bulk(Filter::new().id_prefix("")).delete().run(|_| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse);
    assert!(app.workflow("w").await.unwrap().is_some());
}

async fn a_text_with_a_nul_character_is_refused_before_the_database_is_asked(app: TestApp) {
    let text = "a\0b";
    for filter in [
        Filter::new().id(text),
        Filter::new().id_prefix(text),
        Filter::new().name(text),
        Filter::new().queue(text),
        Filter::new().partition_key(text),
        Filter::new().executor(text),
        Filter::new().version(text),
        Filter::new().parent(text),
        Filter::new().started_by(text),
        Filter::new().forked_from(text),
        Filter::new().label("tenant", text),
        Filter::new().label(text, "acme"),
        Filter::new().error_contains(text),
    ] {
        let refused = [
            app.list_workflows(filter.clone()).await.map(drop),
            app.count_workflows(filter.clone(), GroupBy::Status).await.map(drop),
            app.verify_replays(filter.clone()).await.map(drop),
            app.bulk(filter.clone()).cancel().run(|_| {}).await.map(drop),
            app.bulk(filter.clone()).cancel().start().await.map(drop),
        ];
        for it in refused {
            let error = it.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
            assert!(error.to_string().contains("has a NUL character in it"), "{error}");
        }
    }
}
