//! Latencies of the engine: from a change until the workflow that waits for it continues.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use durable::prelude::*;

use crate::samples::{Samples, wait_until_idle};

const LONG: Duration = Duration::from_hours(1);

/// Times noted by the workflow bodies, which all run in this process and share its clock.
static NOTED: Mutex<Vec<(&'static str, Instant)>> = Mutex::new(Vec::new());

fn noted() -> MutexGuard<'static, Vec<(&'static str, Instant)>> {
    NOTED.lock().expect("no thread panics")
}

fn note(what: &'static str) {
    noted().push((what, Instant::now()));
}

/// Waits until something was noted, and returns its time.
async fn moment(what: &str) -> Instant {
    loop {
        if let Some((_, at)) = noted().iter().find(|it| it.0 == what) {
            return *at;
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// The next side effect: it does not begin before the message and its record are committed.
#[step]
async fn next_effect() {
    note("recorded");
}

#[workflow]
async fn receiver(many: u32) -> Result<()> {
    for _ in 0..many {
        durable::recv::<u32>("news", LONG).await?;
        note("received");
        next_effect().await;
    }
    Ok(())
}

/// Sets an event for each message.
#[workflow]
async fn setter(many: u32) -> Result<()> {
    for number in 0..many {
        durable::recv::<u32>("go", LONG).await?;
        // The message's record is committed first, as in the middle of any workflow.
        next_effect().await;
        durable::sleep(Duration::from_millis(5)).await;
        note("set");
        durable::set_event(format!("event-{number}"), &number).await?;
    }
    Ok(())
}

#[workflow]
async fn child() -> Result<u32> {
    durable::recv::<u32>("go", LONG).await?;
    next_effect().await;
    durable::sleep(Duration::from_millis(5)).await;
    note("ended");
    Ok(1)
}

#[workflow]
async fn parent(id: String) -> Result<u32> {
    let one = child().id(id).await?;
    note("joined");
    Ok(one)
}

/// `sender` sends, and the receiver runs in `home`. Measures until `recv` has returned, and until the
/// message is also recorded.
pub(crate) async fn send_to_recv(sender: &Durable, home: &Durable, many: u32, id: &str) -> (Samples, Samples) {
    let (mut received, mut recorded) = (Vec::new(), Vec::new());
    let handle = home.scope(receiver(many).id(id).start()).await.expect("it starts");
    for number in 0..many {
        wait_until_idle().await;
        noted().clear();
        let begun = Instant::now();
        sender.scope(async { durable::send(id, "news", &number).await }).await.expect("it is there");
        received.push(moment("received").await - begun);
        recorded.push(moment("recorded").await - begun);
    }
    handle.result().await.expect("it ends");
    (received, recorded)
}

/// A workflow in `home` sets an event, and a caller reads it with `other`.
pub(crate) async fn set_to_get(home: &Durable, other: &Durable, many: u32, id: &str) -> Samples {
    let mut samples = Vec::new();
    let handle = home.scope(setter(many).id(id).start()).await.expect("it starts");
    for number in 0..many {
        let event = format!("event-{number}");
        let name = id.to_owned();
        let asks = other.spawn_scoped(async move {
            let value = durable::get_event::<u32>(&name, &event, LONG).await;
            value.expect("the store is there").map(|_| Instant::now())
        });
        wait_until_idle().await;
        noted().clear();
        handle.send("go", &number).await.expect("it is there");
        let got = asks.await.expect("it does not panic").expect("it was set");
        samples.push(got - moment("set").await);
    }
    handle.result().await.expect("it ends");
    samples
}

/// A child ends, and its parent in the same process continues.
pub(crate) async fn child_to_parent(home: &Durable, many: u32) -> Samples {
    let mut samples = Vec::new();
    for number in 0..many {
        let id = format!("child-{number}");
        let handle = home.scope(parent(id.clone()).start()).await.expect("it starts");
        wait_until_idle().await;
        noted().clear();
        home.scope(async { durable::send(&id, "go", &0).await }).await.expect("it is there");
        handle.result().await.expect("it ends");
        samples.push(moment("joined").await - moment("ended").await);
    }
    samples
}

/// A workflow in `home` ends, and a caller waits for it with `other`.
pub(crate) async fn end_to_result(home: &Durable, other: &Durable, many: u32) -> Samples {
    let mut samples = Vec::new();
    for number in 0..many {
        let id = format!("awaited-{number}");
        home.scope(child().id(&id).start()).await.expect("it starts");
        let handle = other.retrieve_workflow::<u32>(&id).await.expect("it was started");
        let result = tokio::spawn(async move { handle.result().await.map(|_| Instant::now()) });
        wait_until_idle().await;
        noted().clear();
        home.scope(async { durable::send(&id, "go", &0).await }).await.expect("it is there");
        let finished_at = result.await.expect("it does not panic").expect("it ends");
        samples.push(finished_at - moment("ended").await);
    }
    samples
}
