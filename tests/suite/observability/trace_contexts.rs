//! What the engine asks of a `TraceContext`, and what is stored of its answers.

use durable::prelude::*;
use durable::sqlx::{Connection, PgConnection, SqliteConnection};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use tracing::{Dispatch, Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{TestDatabase, count, counted, database_tests, fresh};

database_tests! {
    the_trace_of_the_caller_is_stored_with_the_workflow_and_continued,
    a_fork_without_records_continues_the_trace_and_one_with_records_is_linked,
    a_panic_of_the_trace_context_costs_no_workflow,
    a_text_that_is_no_trace_is_not_stored,
    a_client_and_a_transaction_store_the_trace_of_their_caller,
}

#[step]
async fn traced_step(works: bool) -> Result<u32> {
    if works { Ok(1) } else { Err(Error::msg("as the test wants")) }
}

#[workflow]
async fn traced_workflow(works: bool) -> Result<u32> {
    traced_step(works).await
}

/// A tracer that knows one trace, and counts what it is asked for.
#[derive(Debug)]
struct OneTrace(String);

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

impl durable::TraceContext for OneTrace {
    fn traceparent(&self, _span: &Span) -> Option<String> {
        Some(TRACE.to_owned())
    }

    fn continue_trace(&self, _span: &Span, traceparent: &str) {
        count(format!("{} continued {traceparent}", self.0));
    }

    fn link(&self, _span: &Span, traceparent: &str) {
        count(format!("{} linked {traceparent}", self.0));
    }
}

impl OneTrace {
    /// How often a trace was continued, and how often a span was linked to it.
    fn counted(key: &str) -> [u32; 2] {
        ["continued", "linked"].map(|what| counted(&format!("{key} {what} {TRACE}")))
    }
}

#[queue]
static TRACED: Queue = Queue::new("traced");

async fn the_trace_of_the_caller_is_stored_with_the_workflow_and_continued(database: &TestDatabase) {
    let key = fresh("traced");
    let app = database.builder("app").trace_context(OneTrace(key.clone())).launch().await.unwrap();
    app.scope(async {
        traced_workflow(true).id("direct").await.unwrap();
        traced_workflow(true).id("queued").enqueue(&TRACED).await.unwrap().await.unwrap();
    })
    .await;
    for id in ["direct", "queued"] {
        let listed = app.workflow(id).await.unwrap().expect("it is there");
        assert_eq!(listed.trace_context.as_deref(), Some(TRACE), "{id}");
    }
    assert_eq!(OneTrace::counted(&key), [2, 0]);
    app.shutdown().await;
}

async fn a_fork_without_records_continues_the_trace_and_one_with_records_is_linked(database: &TestDatabase) {
    let key = fresh("traced");
    let app = database.builder("app").trace_context(OneTrace(key.clone())).launch().await.unwrap();
    app.scope(async { traced_workflow(true).id("w").await.unwrap() }).await;
    assert_eq!(OneTrace::counted(&key), [1, 0]);
    app.fork_workflow("w", 1).await.unwrap().result().await.unwrap();
    assert_eq!(OneTrace::counted(&key), [2, 0], "it is a run like the first one of the other");
    app.fork_workflow("w", 2).await.unwrap().result().await.unwrap();
    assert_eq!(OneTrace::counted(&key), [2, 1]);
    app.shutdown().await;
}

/// Panics whatever it is asked.
#[derive(Debug)]
struct Panics;

impl durable::TraceContext for Panics {
    fn traceparent(&self, _span: &Span) -> Option<String> {
        panic!("no traceparent")
    }

    fn continue_trace(&self, _span: &Span, _traceparent: &str) {
        panic!("no trace to continue")
    }

    fn link(&self, _span: &Span, _traceparent: &str) {
        panic!("no link")
    }

    fn describe(&self, _span: &Span, _kind: &str, _name: &str) {
        panic!("no description")
    }

    fn fail(&self, _span: &Span, _why: &str) {
        panic!("no failure")
    }
}

async fn a_panic_of_the_trace_context_costs_no_workflow(database: &TestDatabase) {
    // These have a trace that is to be continued, and one that is to be linked.
    let app = database.builder("app").listen_to::<&str>([]).trace_context(OneTrace(fresh("traced"))).launch();
    let app = app.await.unwrap();
    app.scope(async {
        traced_workflow(true).id("queued").enqueue(&TRACED).await.unwrap();
        traced_workflow(true).id("source").await.unwrap();
    })
    .await;
    app.fork_workflow("source", 2).id("fork").queue("traced").await.unwrap();
    app.shutdown().await;
    let app = database.builder("app").trace_context(Panics).launch().await.unwrap();
    app.scope(async {
        assert_eq!(traced_workflow(true).id("direct").await.unwrap(), 1);
        let error = traced_workflow(false).id("fails").await.unwrap_err();
        assert_eq!(error.to_string(), "as the test wants");
    })
    .await;
    for id in ["queued", "fork"] {
        assert_eq!(app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 1, "{id}");
    }
    assert!(app.shutdown().await.is_clean());
}

/// Gives a text that no database stores, or that is none.
#[derive(Debug)]
struct NoTrace(&'static str);

impl durable::TraceContext for NoTrace {
    fn traceparent(&self, _span: &Span) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn continue_trace(&self, _span: &Span, _traceparent: &str) {}

    fn link(&self, _span: &Span, _traceparent: &str) {}
}

async fn a_text_that_is_no_trace_is_not_stored(database: &TestDatabase) {
    let texts = [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 and more",
    ];
    for text in texts {
        let app = database.builder("app").trace_context(NoTrace(text)).launch().await.unwrap();
        let id = fresh("traced");
        app.scope(async { traced_workflow(true).id(&id).await.unwrap() }).await;
        assert_eq!(app.workflow(&id).await.unwrap().unwrap().trace_context, None, "{text:?}");
        app.shutdown().await;
    }
}

/// Starts one in a transaction of the program's own.
async fn starts_in_transaction(app: &Durable, database: &TestDatabase, id: &str) {
    macro_rules! in_transaction {
        ($connection:ident) => {{
            let mut connection = $connection::connect(database.url()).await.unwrap();
            let mut tx = connection.begin().await.unwrap();
            app.scope(async { traced_workflow(true).id(id).queue(&TRACED).start_in(&mut *tx).await }).await.unwrap();
            tx.commit().await.unwrap();
            connection.close().await.unwrap();
        }};
    }
    if database.is_postgres() {
        in_transaction!(PgConnection);
    } else {
        in_transaction!(SqliteConnection);
    }
}

async fn a_client_and_a_transaction_store_the_trace_of_their_caller(database: &TestDatabase) {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("traced"));
    // A second one, because with a single subscriber the thread that is first at a span decides whether it is enabled.
    let _another = Dispatch::new(tracing_subscriber::registry());
    let _recording = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    let client = durable::Client::builder(database.url()).schema(database.schema()).connect().await.unwrap();
    let enqueue =
        async |id: &str| client.enqueue("traced_workflow", json!({"works": true})).id(id).queue("traced").await;
    let request = tracing::info_span!("request");
    async {
        enqueue("of a client").await.unwrap();
        starts_in_transaction(&app, database, "in a transaction").await;
    }
    .instrument(request.clone())
    .await;
    enqueue("without a trace").await.unwrap();
    let stored =
        async |id: &str| app.workflow(id).await.unwrap().expect("it is there").trace_context.unwrap_or_default();
    let trace_id = request.context().span().span_context().trace_id().to_string();
    for id in ["of a client", "in a transaction"] {
        assert!(stored(id).await.contains(&trace_id), "{id}: {} is not of the trace {trace_id}", stored(id).await);
    }
    let own = stored("without a trace").await;
    assert!(own.len() == 55 && !own.contains(&trace_id), "it has a trace of its own: {own:?}");
    client.close().await;
    app.shutdown().await;
}
