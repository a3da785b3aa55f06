//! Calls of workflows and steps: values, options, positions.

use durable::prelude::*;

use crate::support::{app_tests, arrived, count, counted, fresh, gate};

app_tests! {
    a_workflow_records_its_steps_by_position,
    the_same_id_never_runs_twice,
    a_second_start_attaches_and_gets_the_same_result,
    arguments_are_recorded_by_name,
    steps_borrow_and_are_generic,
    a_step_is_retried_until_it_succeeds,
    arguments_are_cloned_only_when_a_retry_can_happen,
    a_step_over_its_timeout_is_dropped,
    positions_are_claimed_when_the_call_is_made,
    a_call_that_is_never_awaited_keeps_its_position,
    a_blocking_step_runs_on_other_threads,
    a_method_can_be_a_step,
    a_dropped_await_leaves_the_workflow_running,
    a_workflow_can_be_found_by_its_id,
    workflows_are_listed_by_status_and_name,
    a_cancelled_workflow_drops_its_body,
    max_concurrent_workflows_limits_direct_starts,
}

#[step]
async fn shout(text: &str) -> String {
    text.to_uppercase()
}

#[step]
async fn length<T: AsRef<str> + Sync>(text: &T, more: &[usize]) -> Result<usize> {
    Ok(text.as_ref().len() + more.len())
}

#[workflow]
async fn greet(name: String, times: u32) -> Result<String> {
    let mut parts = Vec::new();
    for _ in 0..times {
        parts.push(shout(&name).await);
    }
    Ok(parts.join(" "))
}

async fn a_workflow_records_its_steps_by_position(app: TestApp) {
    assert_eq!(greet("ada".into(), 2).id("g").await.unwrap(), "ADA ADA");

    let steps = app.list_steps("g").await.unwrap();
    let shown: Vec<_> = steps.iter().map(|it| (it.position.to_string(), it.kind.as_str(), it.name.as_str())).collect();
    assert_eq!(shown, [("1".into(), "step", "shout"), ("2".into(), "step", "shout")]);
    assert_eq!(steps[0].output.as_deref(), Some("\"ADA\""));
    assert!(steps[0].started_at <= steps[0].completed_at);

    let info = &app.list_workflows(Filter::new().with_payloads()).await.unwrap()[0];
    assert_eq!((info.status, info.name.as_str(), info.attempts), (Status::Success, "greet", 1));
    assert_eq!(info.output.as_deref(), Some("\"ADA ADA\""));
    assert!(info.completed_at.unwrap() >= info.created_at);
}

#[step]
async fn touch(key: &str) -> u32 {
    count(key)
}

#[workflow]
async fn touch_once(key: String) -> Result<u32> {
    Ok(touch(&key).await)
}

async fn the_same_id_never_runs_twice(_app: TestApp) {
    let key = fresh("touch");
    for _ in 0..3 {
        assert_eq!(touch_once(key.clone()).id("once").await.unwrap(), 1);
    }
    assert_eq!(counted(&key), 1);
}

async fn a_second_start_attaches_and_gets_the_same_result(app: TestApp) {
    let key = fresh("attach");
    let calls: Vec<_> = (0..32).map(|_| app.spawn_scoped(touch_once(key.clone()).id("attach"))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    assert_eq!(counted(&key), 1);
}

async fn arguments_are_recorded_by_name(app: TestApp) {
    greet("ada".into(), 0).id("named").await.unwrap();
    let info = app.workflow("named").await.unwrap().expect("it was started");
    assert_eq!(info.input.as_deref(), Some(r#"{"name":"ada","times":0}"#));
}

#[workflow]
async fn measure() -> Result<usize> {
    let text = String::from("twelve chars");
    length(&text, &[1, 2]).await
}

async fn steps_borrow_and_are_generic(_app: TestApp) {
    assert_eq!(measure().await.unwrap(), 14);
}

#[step(retries = 5, backoff = "1ms")]
async fn succeed_at(key: String, attempt: u32) -> Result<u32> {
    let status = durable::step_status().unwrap();
    assert_eq!((status.attempt, status.max_attempts), (count(key), 6));
    if status.attempt < attempt {
        return Err(Error::msg(format!("attempt {} fails", status.attempt)));
    }
    Ok(status.attempt)
}

#[workflow]
async fn retried(key: String, attempt: u32) -> Result<u32> {
    succeed_at(key, attempt).await
}

async fn a_step_is_retried_until_it_succeeds(app: TestApp) {
    assert_eq!(retried(fresh("retry"), 3).id("third").await.unwrap(), 3);
    let step = &app.list_steps("third").await.unwrap()[0];
    assert_eq!(
        (step.attempts, step.failures.as_slice()),
        (3, ["attempt 1 fails".to_owned(), "attempt 2 fails".to_owned()].as_slice())
    );

    let error = retried(fresh("retry"), 99).id("never").await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 6 fails");
    let step = &app.list_steps("never").await.unwrap()[0];
    assert_eq!((step.attempts, step.failures.len()), (6, 5));
    assert!(step.error.as_deref().unwrap().contains("attempt 6 fails"), "{step:?}");
}

struct CountsClones(String);

impl Clone for CountsClones {
    fn clone(&self) -> Self {
        count(format!("{} cloned", self.0));
        Self(self.0.clone())
    }
}

#[step]
async fn takes(counts: CountsClones) -> Result<u32> {
    match count(&counts.0) {
        1 => Err(Error::msg("the first attempt fails")),
        attempt => Ok(attempt),
    }
}

#[workflow]
async fn gives(key: String, retries: u32) -> Result<u32> {
    takes(CountsClones(key)).retries(retries).backoff(Duration::from_millis(1)).await
}

async fn arguments_are_cloned_only_when_a_retry_can_happen(_app: TestApp) {
    let key = fresh("clones");
    gives(key.clone(), 0).await.unwrap_err();
    assert_eq!(counted(&format!("{key} cloned")), 0, "there is one attempt, and it gets the arguments themselves");
    let key = fresh("clones");
    assert_eq!(gives(key.clone(), 1).await.unwrap(), 2);
    assert_eq!(counted(&format!("{key} cloned")), 1, "the last attempt gets them themselves");
}

#[step(timeout = "20ms")]
async fn dawdle() -> Result<()> {
    std::future::pending().await
}

#[workflow]
async fn impatient() -> Result<String> {
    let error = dawdle().await.expect_err("it never ends by itself");
    Ok(format!("{:?}: {error}", error.kind()))
}

async fn a_step_over_its_timeout_is_dropped(_app: TestApp) {
    let text = impatient().await.unwrap();
    assert_eq!(text, "Timeout: the step `dawdle` at position 1 took longer than its timeout of 20ms");
}

#[step]
async fn tagged(tag: String) -> String {
    tag
}

#[workflow]
async fn out_of_order() -> Result<Vec<String>> {
    let (first, second) = (tagged("first".into()), tagged("second".into()));
    let (second, first) = tokio::join!(second, first);
    Ok(vec![first, second])
}

async fn positions_are_claimed_when_the_call_is_made(app: TestApp) {
    assert_eq!(out_of_order().id("order").await.unwrap(), ["first", "second"]);
    let outputs: Vec<_> = app.list_steps("order").await.unwrap().into_iter().map(|it| it.output.unwrap()).collect();
    assert_eq!(outputs, ["\"first\"", "\"second\""]);
}

#[workflow]
async fn drops_one() -> Result<String> {
    drop(tagged("never".into()));
    Ok(tagged("second".into()).await)
}

async fn a_call_that_is_never_awaited_keeps_its_position(app: TestApp) {
    drops_one().id("dropped").await.unwrap();
    let steps = app.list_steps("dropped").await.unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].position.to_string(), "2");
}

#[step]
fn hash(text: String) -> u64 {
    assert!(tokio::runtime::Handle::try_current().is_ok());
    std::thread::sleep(Duration::from_millis(1)); // it may block
    text.bytes().map(u64::from).sum()
}

#[workflow]
async fn hashed() -> Result<u64> {
    Ok(hash("ab".into()).await)
}

async fn a_blocking_step_runs_on_other_threads(_app: TestApp) {
    assert_eq!(hashed().await.unwrap(), 195);
}

struct Shop {
    name: String,
}

impl Shop {
    #[step]
    async fn sign(&self, paper: &str) -> String {
        format!("{paper}, {}", self.name)
    }
}

#[workflow]
async fn signed() -> Result<String> {
    let shop = Shop { name: "Tea & Co".into() };
    Ok(shop.sign("yours").await)
}

async fn a_method_can_be_a_step(_app: TestApp) {
    assert_eq!(signed().await.unwrap(), "yours, Tea & Co");
}

#[step]
async fn wait_at(name: &str) -> u32 {
    let arrived = count(name);
    gate(name).acquire().await.unwrap().forget();
    arrived
}

#[workflow]
async fn gated(name: String) -> Result<u32> {
    Ok(wait_at(&name).await)
}

async fn a_dropped_await_leaves_the_workflow_running(app: TestApp) {
    let name = fresh("gate");
    let caller = app.spawn_scoped(gated(name.clone()).id("left"));
    arrived(&name, 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());

    gate(&name).add_permits(1);
    let handle = durable::retrieve_workflow::<u32>("left").await.unwrap();
    assert_eq!(handle.await.unwrap(), 1);
}

async fn a_workflow_can_be_found_by_its_id(app: TestApp) {
    greet("ada".into(), 1).id("found").await.unwrap();
    let handle = app.retrieve_workflow::<String>("found").await.unwrap();
    assert_eq!(handle.id(), "found");
    assert_eq!(handle.status().await.unwrap(), Status::Success);
    assert_eq!(handle.result().await.unwrap(), "ADA");

    let missing = durable::retrieve_workflow::<String>("no such").await.unwrap_err();
    assert_eq!(missing.to_string(), "no workflow has the id \"no such\"");
    let unreadable = app.retrieve_workflow::<u32>("found").await.unwrap().await.unwrap_err();
    assert!(unreadable.to_string().contains("does not read as `u32`"), "{unreadable}");
}

async fn workflows_are_listed_by_status_and_name(app: TestApp) {
    let name = fresh("gate");
    let waiting = gated(name.clone()).id("w").start().await.unwrap();
    greet("ada".into(), 0).id("g").await.unwrap();
    arrived(&name, 1).await;

    let ids = async |filter| -> Vec<String> {
        app.list_workflows(filter).await.unwrap().into_iter().map(|it| it.id).collect()
    };
    assert_eq!(ids(Filter::new()).await, ["w", "g"]);
    assert_eq!(ids(Filter::new().newest_first().limit(1)).await, ["g"]);
    assert_eq!(ids(Filter::new().status(Status::Pending)).await, ["w"]);
    assert_eq!(ids(Filter::new().name("greet")).await, ["g"]);

    gate(&name).add_permits(1);
    waiting.await.unwrap();
}

struct Counted(String);

impl Drop for Counted {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
    }
}

#[workflow]
async fn holds_something(name: String) -> Result<u32> {
    let _held = Counted(name.clone());
    Ok(wait_at(&name).await)
}

async fn a_cancelled_workflow_drops_its_body(app: TestApp) {
    let name = fresh("cancel");
    let handle = holds_something(name.clone()).id("c").start().await.unwrap();
    arrived(&name, 1).await;
    handle.cancel().await.unwrap();

    let error = handle.result().await.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(handle.status().await.unwrap(), Status::Cancelled);
    assert_eq!(counted(&format!("{name} dropped")), 1, "its destructors have run");
    assert!(app.list_steps("c").await.unwrap().is_empty());
}

async fn max_concurrent_workflows_limits_direct_starts(_app: TestApp) {
    let database = crate::support::TestDatabase::sqlite();
    let app = database.builder("two at a time").max_concurrent_workflows(2).launch().await.unwrap();
    let name = fresh("permits");
    let work = async {
        let mut handles = Vec::new();
        for _ in 0..5 {
            handles.push(gated(name.clone()).start().await.unwrap());
        }
        for done in 1..=5 {
            arrived(&name, (done + 1).min(5)).await;
            assert!(counted(&name) <= done + 1, "{} have begun and {} are done", counted(&name), done - 1);
            gate(&name).add_permits(1);
        }
        for handle in handles {
            handle.await.unwrap();
        }
    };
    app.scope(work).await;
    app.shutdown().await;
    database.clear().await;
}
