//! A program with one engine whose ordinary tasks make calls while it shuts down. It is a process of its
//! own because the process of the tests always has other engines.
//!
//! It prints the result of each call: the name of the call, and `ok` or the kind of the error.
//! `DURABLE_DATABASE_URL` names the database.

use durable::prelude::*;
use durable::{Builder, EnginePhase, ErrorKind};

#[queue]
static LATER: Queue = Queue::new("drained-later");

/// Waits for a message, so that the drain lasts until one is sent.
#[workflow]
async fn waits(from: String) -> Result<String> {
    durable::recv::<String>(&from, Duration::from_mins(1)).await?;
    Ok(from)
}

#[workflow]
async fn follows(number: u32) -> Result<u32> {
    Ok(number)
}

fn builder(name: &str) -> Builder {
    Durable::builder(name).share_schema().listen_to::<&str>([])
}

fn patient() -> ShutdownOptions {
    let minute = Duration::from_mins(1);
    ShutdownOptions::default().drain(minute).wait_grace(minute).total(2 * minute)
}

fn print_result<T>(call: &str, result: Result<T>) {
    let became = result.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned());
    println!("{call} {became}");
}

/// Calls from a task that belongs to no engine.
async fn call(when: &'static str) {
    let calls = async move {
        println!("-- {when}");
        print_result("start", follows(1).start().await);
        print_result("enqueue", follows(2).enqueue(&LATER).await);
        print_result("debounce", follows(3).debounce("key", Duration::from_hours(1)).start().await);
        print_result("send", durable::send("w", "beside", &1).await);
        print_result("list", durable::list_workflows(Filter::new()).await);
        print_result("retrieve", durable::retrieve_workflow::<String>("w").await);
    };
    tokio::spawn(calls).await.expect("the calls come back");
}

#[tokio::main]
async fn main() -> Result<()> {
    let app = builder("calls_during_shutdown").launch().await?;
    waits("go".into()).id("w").start().await?;
    app.request_shutdown_with(patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    call("while it drains").await;

    let next = builder("next").launch().await?;
    call("with another one").await;
    next.shutdown().await;
    call("without it").await;

    // Once it has its message the drain ends: the handle is got before.
    let handle = durable::retrieve_workflow::<String>("w").await?;
    durable::send("w", "go", &"now".to_owned()).await?;
    print_result("result", handle.await);
    let report = app.shutdown().await;
    println!("clean {} completed {}", report.is_clean(), report.completed);
    let closed = follows(4).enqueue(&LATER).await.expect_err("there is no engine any more");
    assert_eq!(closed.kind(), ErrorKind::NoEngine, "{closed}");
    println!("closed {:?}", closed.kind());
    Ok(())
}
