//! Debounced calls: several become one, with the arguments of the last.

use durable::prelude::*;

use crate::support::{TestDatabase, database_tests};

database_tests! {
the_last_debounced_call_wins,
debounce_up_to_limits_how_long_a_call_is_postponed,
debounced_calls_of_two_processes_become_one_workflow,
a_debounced_call_in_a_workflow_replays,
debounced_calls_on_two_instances_stay_separate,
priority_and_timeout_of_the_last_debounced_call_apply,
}

#[workflow]
async fn saves_draft(text: String) -> Result<String> {
    Ok(text)
}

async fn the_last_debounced_call_wins(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let mut handles = Vec::new();
        for text in ["a", "ab", "abc"] {
            handles.push(saves_draft(text.into()).debounce("doc-7", Duration::from_millis(400)).start().await.unwrap());
        }
        assert!(handles.iter().all(|it| it.id() == handles[0].id()), "they are one workflow");
        assert_eq!(handles.remove(0).await.unwrap(), "abc");
        let later = saves_draft("later".into()).debounce("doc-7", Duration::from_millis(1)).start().await.unwrap();
        assert_eq!(later.await.unwrap(), "later", "a call after that is another one");
    })
    .await;
    assert_eq!(database.workflows().await.len(), 2);
    app.shutdown().await;
}

async fn debounce_up_to_limits_how_long_a_call_is_postponed(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let call = |text: String| {
            saves_draft(text)
                .debounce_up_to(Duration::from_millis(500))
                .debounce("doc-8", Duration::from_hours(1))
                .start()
        };
        let handle = call("first".into()).await.unwrap();
        call("second".into()).await.unwrap();
        assert_eq!(handle.await.unwrap(), "second", "an hour has not passed");
    })
    .await;
    app.shutdown().await;
}

async fn debounced_calls_of_two_processes_become_one_workflow(database: &TestDatabase) {
    let (one, two) = (database.builder("one").launch().await.unwrap(), database.builder("two").launch().await.unwrap());
    let period = Duration::from_millis(400);
    let first = one.scope(saves_draft("one".into()).debounce("doc-9", period).start()).await.unwrap();
    let second = two.scope(async { saves_draft("two".into()).debounce("doc-9", period).start().await.unwrap() }).await;
    assert_eq!(first.id(), second.id());
    assert_eq!(first.await.unwrap(), "two");
    one.shutdown().await;
    two.shutdown().await;
}

#[workflow]
async fn debounces(text: String) -> Result<String> {
    let handle = saves_draft(text).debounce("doc-10", Duration::from_millis(50)).start().await?;
    handle.await
}

async fn a_debounced_call_in_a_workflow_replays(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.scope(async { debounces("inside".into()).id("d").await }).await.unwrap(), "inside");
    let steps = app.list_steps("d").await.unwrap();
    assert_eq!(steps[0].child.as_deref(), Some(steps[1].name.as_str()), "the record names the child");
    app.shutdown().await;
}

struct Draft(&'static str);

impl Instance for Draft {
    fn instance_name(&self) -> &str {
        self.0
    }
}

#[durable::instance]
impl Draft {
    #[workflow]
    async fn save(&self, text: String) -> Result<String> {
        Ok(format!("{} holds {text}", self.0))
    }
}

async fn debounced_calls_on_two_instances_stay_separate(database: &TestDatabase) {
    let mut builder = database.builder("documents");
    let (a, z) = (builder.instance(Draft("doc-a")), builder.instance(Draft("doc-z")));
    let app = builder.launch().await.unwrap();
    let period = Duration::from_millis(300);
    app.scope(async {
        let of_a = a.save("a".into()).debounce("k", period).start().await.unwrap();
        let of_z = z.save("z".into()).debounce("k", period).start().await.unwrap();
        let again = a.save("ab".into()).debounce("k", period).start().await.unwrap();
        assert_eq!(again.id(), of_a.id(), "calls on one instance are still one");
        assert_eq!((of_a.await.unwrap(), of_z.await.unwrap()), ("doc-a holds ab".into(), "doc-z holds z".into()));
    })
    .await;
    app.shutdown().await;
}

async fn priority_and_timeout_of_the_last_debounced_call_apply(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let hour = Duration::from_hours(1);
        saves_draft("first".into()).priority(3).debounce("doc-11", hour).start().await.unwrap();
        let last = saves_draft("last".into()).priority(-2).timeout(hour);
        last.debounce("doc-11", Duration::from_millis(1)).start().await.unwrap().await.unwrap();
    })
    .await;
    let info = database.workflows().await.remove(0);
    assert_eq!((info.priority, info.output.as_deref()), (-2, Some("\"last\"")));
    assert!(info.deadline.is_some_and(|it| it > info.started_at.unwrap()), "{:?}", info.deadline);
    app.shutdown().await;
}
