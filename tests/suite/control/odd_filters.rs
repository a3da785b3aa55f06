//! Filters with odd texts.

use durable::ErrorKind;
use durable::prelude::*;
use durable::testing::TestApp;

use crate::support::app_tests;

app_tests! {
    an_error_is_found_by_each_part_of_its_text,
    an_empty_prefix_is_no_condition_of_a_bulk_change,
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
