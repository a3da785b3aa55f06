//! Several engines in one process do not mix.

use durable::prelude::*;

use crate::support::{TestDatabase, database_tests};

database_tests! {
    two_engines_in_one_process_never_mix,
    a_call_without_a_scope_names_both_engines_and_the_fix,
    a_workflow_runs_in_the_engine_that_started_it,
}

#[step]
async fn name_of(text: &str) -> String {
    text.to_owned()
}

#[workflow]
async fn named(text: String) -> Result<String> {
    Ok(name_of(&text).await)
}

#[workflow]
async fn parent_of_named(text: String) -> Result<String> {
    named(text).await
}

async fn two_engines_in_one_process_never_mix(database: &TestDatabase) {
    let other = TestDatabase::sqlite();
    let (a, b) = (database.launch().await, other.builder("other").launch().await.unwrap());

    let calls = (0..20).map(|_| (a.spawn_scoped(named("a".into())), b.spawn_scoped(named("b".into()))));
    for (of_a, of_b) in calls.collect::<Vec<_>>() {
        assert_eq!((of_a.await.unwrap().unwrap().as_str(), of_b.await.unwrap().unwrap().as_str()), ("a", "b"));
    }
    for (app, text) in [(&a, "a"), (&b, "b")] {
        let all = app.list_workflows(Filter::new().with_payloads()).await.unwrap();
        assert_eq!(all.len(), 20);
        assert!(all.iter().all(|it| it.input.as_deref().is_some_and(|it| it.contains(text))), "{all:?}");
    }
    // A task that belongs to neither engine gets an error.
    let lost = tokio::spawn(async { named("lost".into()).await }).await.unwrap().unwrap_err();
    assert!(lost.to_string().contains("app.scope(…)"), "{lost}");

    a.shutdown().await;
    b.shutdown().await;
}

async fn a_call_without_a_scope_names_both_engines_and_the_fix(database: &TestDatabase) {
    let (a, b) = (database.launch().await, database.launch().await);
    let lost = tokio::spawn(async { named("lost".into()).await }).await.unwrap().unwrap_err().to_string();
    let schema = if database.is_postgres() { format!(" in the schema {}", database.schema()) } else { String::new() };
    let engine = format!("`app` on {}{schema}", a.location());
    // Those of other tests may be there as well.
    assert_eq!(lost.matches(&engine).count(), 2, "{lost}");
    assert!(lost.contains("app.scope(…)") && lost.contains("launch only one"), "{lost}");
    a.shutdown().await;
    b.shutdown().await;
}

async fn a_workflow_runs_in_the_engine_that_started_it(database: &TestDatabase) {
    let other = TestDatabase::sqlite();
    let (a, b) = (database.launch().await, other.builder("other").launch().await.unwrap());
    // The call is made in one engine's scope and awaited in none.
    a.spawn_scoped(async { parent_of_named("child".into()).id("p").await.unwrap() }).await.unwrap();
    assert_eq!(a.list_workflows(Filter::new()).await.unwrap().len(), 2, "the child is where its parent is");
    assert!(b.list_workflows(Filter::new()).await.unwrap().is_empty());
    a.shutdown().await;
    b.shutdown().await;
}
