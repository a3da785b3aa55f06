//! Starting workflows by their name.

use std::time::Duration;

use durable::prelude::*;
use durable::{Client, ErrorKind};
use serde_json::{Value, json};

use crate::support::{TestDatabase, database_tests};

database_tests! {
    a_client_starts_a_workflow_by_its_name_and_waits_for_its_result,
    the_options_of_a_call_by_name_are_those_of_a_call,
    a_call_by_name_attaches_to_the_workflow_with_its_id,
    a_call_by_name_that_cannot_run_is_refused_before_it_is_written,
    a_method_is_started_on_its_instance,
    debounced_calls_by_name_start_one_workflow,
    an_error_of_a_workflow_reaches_the_client_with_its_message,
}

#[queue]
static CLIENT_ORDERS: Queue = Queue::new("client_orders");
#[queue]
static CLIENT_PARTED: Queue = Queue::new("client_parted").partitioned();

#[workflow]
async fn client_checkout(order: u32, note: String) -> Result<String> {
    match order {
        0 => Err(Error::msg("an order needs a number")),
        _ => Ok(format!("order {order}: {note}")),
    }
}

struct Shop(&'static str);

impl Instance for Shop {
    fn instance_name(&self) -> &str {
        self.0
    }
}

#[durable::instance]
impl Shop {
    #[workflow(name = "client_greet")]
    async fn client_greet(&self) -> Result<String> {
        Ok(self.0.to_owned())
    }
}

async fn connect(database: &TestDatabase) -> Client {
    Client::builder(database.url()).schema(database.schema()).connect().await.expect("the schema is there")
}

async fn a_client_starts_a_workflow_by_its_name_and_waits_for_its_result(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let arguments = json!({"order": 7, "note": "two of them"});
    let on_queue = client.enqueue("client_checkout", &arguments).queue("client_orders").id("order-7").await.unwrap();
    assert_eq!(on_queue.result().await.unwrap(), json!("order 7: two of them"));
    let on_none = client.enqueue("client_checkout", &arguments).await.unwrap();
    let typed = client.retrieve_workflow::<String>(on_none.id()).await.unwrap();
    assert_eq!(typed.await.unwrap(), "order 7: two of them");

    let info = client.workflow("order-7").await.unwrap().expect("it was started");
    assert_eq!((info.queue.as_deref(), info.status, info.version), (Some("client_orders"), Status::Success, None));
    assert_eq!(client.workflow(on_none.id()).await.unwrap().unwrap().queue.as_deref(), Some("durable"));
    assert_eq!(client.workflow("order-8").await.unwrap(), None);
    let executors = client.list_executors().await.unwrap();
    assert_eq!(executors.len(), 1, "a client is no executor: {executors:?}");
    client.close().await;
    app.shutdown().await;
}

async fn the_options_of_a_call_by_name_are_those_of_a_call(database: &TestDatabase) {
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    let client = connect(database).await;
    let call = || client.enqueue("client_checkout", json!({"order": 1, "note": ""}));
    let all = call().queue("client_parted").priority(-3).partition("ada").deduplicate("cart-1");
    let handle = all.id("a").timeout(Duration::from_mins(5)).await.unwrap();
    let info = client.workflow(handle.id()).await.unwrap().unwrap();
    assert_eq!((info.status, info.priority, info.partition_key.as_deref()), (Status::Enqueued, -3, Some("ada")));
    assert_eq!(info.deduplication_id.as_deref(), Some("cart-1"));

    let duplicate = || call().queue("client_parted").partition("ada").deduplicate("cart-1");
    let refused = duplicate().await.unwrap_err();
    assert_eq!((refused.kind(), refused.workflow_id()), (ErrorKind::Duplicate, Some("a")), "{refused}");
    assert_eq!(duplicate().or_existing().await.unwrap().id(), "a");

    let late = call().delay(Duration::from_hours(1)).await.unwrap();
    let info = client.workflow(late.id()).await.unwrap().unwrap();
    assert_eq!(info.status, Status::Delayed);
    assert!(info.due_at.is_some_and(|due| due > info.created_at + Duration::from_mins(50)));
    client.close().await;
    app.shutdown().await;
}

async fn a_call_by_name_attaches_to_the_workflow_with_its_id(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let call = |order: u32| client.enqueue("client_checkout", json!({"order": order, "note": "-"})).id("order-1");
    call(1).await.unwrap();
    assert_eq!(call(1).await.unwrap().result().await.unwrap(), json!("order 1: -"));
    assert_eq!(call(2).await.unwrap().result().await.unwrap(), json!("order 1: -"), "an id names one execution");
    let other = client.enqueue("client_greet", json!({})).id("order-1").await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::IdConflict, "{other}");
    client.close().await;
    app.shutdown().await;
}

async fn a_call_by_name_that_cannot_run_is_refused_before_it_is_written(database: &TestDatabase) {
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    let client = connect(database).await;
    for (arguments, queue, part) in [
        (json!([1, 2]), "client_orders", "its arguments are a JSON object"),
        (json!({"order": 1}), "client_parted", "has no partition key: add `.partition(key)`"),
        (json!({"order": 1}), "", "the queue name"),
        (json!({"order": "x".repeat(9 << 20)}), "client_orders", "at most 8388608 are stored"),
    ] {
        let error = client.enqueue("client_checkout", &arguments).queue(queue).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let unnamed = client.enqueue("", json!({})).await.unwrap_err();
    assert_eq!(unnamed.kind(), ErrorKind::InvalidId, "{unnamed}");
    assert!(client.list_workflows(Filter::new()).await.unwrap().is_empty(), "nothing was written");
    client.close().await;
    app.shutdown().await;
}

async fn a_method_is_started_on_its_instance(database: &TestDatabase) {
    let mut builder = database.builder("app");
    let _shop = builder.instance(Shop("corner"));
    let app = builder.launch().await.unwrap();
    let client = connect(database).await;
    let handle = client.enqueue("client_greet", json!({})).instance("corner").await.unwrap();
    assert_eq!(handle.await.unwrap(), json!("corner"));
    client.close().await;
    app.shutdown().await;
}

async fn debounced_calls_by_name_start_one_workflow(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let mut ids = Vec::new();
    let mut last = None;
    for number in 1..=3 {
        let arguments = json!({"order": number, "note": "draft"});
        let call = client.enqueue("client_checkout", arguments).debounce("doc", Duration::from_millis(300));
        let handle = call.debounce_up_to(Duration::from_mins(1)).await.unwrap();
        ids.push(handle.id().to_owned());
        last = Some(handle);
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let result: Value = last.unwrap().await.unwrap();
    assert_eq!(result, json!("order 3: draft"), "the last call wins");
    client.close().await;
    app.shutdown().await;
}

async fn an_error_of_a_workflow_reaches_the_client_with_its_message(database: &TestDatabase) {
    let app = database.launch().await;
    let client = connect(database).await;
    let handle = client.enqueue("client_checkout", json!({"order": 0, "note": ""})).await.unwrap();
    assert_eq!(handle.result().await.unwrap_err().to_string(), "an order needs a number");
    client.close().await;
    app.shutdown().await;
}
