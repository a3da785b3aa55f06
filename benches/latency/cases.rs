//! What is measured of the engine: from the moment at which news is made to the one at which the
//! workflow that waits for it goes on.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use durable::prelude::*;

use crate::samples::{Samples, rest};

const LONG: Duration = Duration::from_hours(1);

/// The moments that the bodies note: they run in this process, so its clock is everybody's.
static NOTED: Mutex<Vec<(&'static str, Instant)>> = Mutex::new(Vec::new());

fn noted() -> MutexGuard<'static, Vec<(&'static str, Instant)>> {
    NOTED.lock().expect("nobody panics")
}

fn note(what: &'static str) {
    noted().push((what, Instant::now()));
}

/// Waits until something was noted, and takes the moment.
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

/// Sets events, each when it is told to.
#[workflow]
async fn setter(many: u32) -> Result<()> {
    for number in 0..many {
        durable::recv::<u32>("go", LONG).await?;
        // The message's record is committed first, as it would be in the midst of any workflow.
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
    note("heard");
    Ok(one)
}

/// `sender` sends, and the receiver runs in `home`: until `recv` has returned, and until what was
/// received is recorded, too.
pub(crate) async fn send_to_recv(sender: &Durable, home: &Durable, many: u32, id: &str) -> (Samples, Samples) {
    let (mut received, mut recorded) = (Vec::new(), Vec::new());
    let handle = home.scope(receiver(many).id(id).start()).await.expect("it starts");
    for number in 0..many {
        rest().await;
        noted().clear();
        let begun = Instant::now();
        sender.scope(async { durable::send(id, "news", &number).await }).await.expect("it is there");
        received.push(moment("received").await - begun);
        recorded.push(moment("recorded").await - begun);
    }
    handle.result().await.expect("it ends");
    (received, recorded)
}

/// A workflow in `home` sets an event, and somebody asks `asker` for it.
pub(crate) async fn set_to_get(home: &Durable, asker: &Durable, many: u32, id: &str) -> Samples {
    let mut samples = Vec::new();
    let handle = home.scope(setter(many).id(id).start()).await.expect("it starts");
    for number in 0..many {
        let event = format!("event-{number}");
        let name = id.to_owned();
        let asks = asker.spawn(async move {
            let value = durable::get_event::<u32>(&name, &event, LONG).await;
            value.expect("the store is there").map(|_| Instant::now())
        });
        rest().await;
        noted().clear();
        handle.send("go", &number).await.expect("it is there");
        let got = asks.await.expect("it does not panic").expect("it was set");
        samples.push(got - moment("set").await);
    }
    handle.result().await.expect("it ends");
    samples
}

/// A child ends, and its parent in the same process goes on.
pub(crate) async fn child_to_parent(home: &Durable, many: u32) -> Samples {
    let mut samples = Vec::new();
    for number in 0..many {
        let id = format!("child-{number}");
        let handle = home.scope(parent(id.clone()).start()).await.expect("it starts");
        rest().await;
        noted().clear();
        home.scope(async { durable::send(&id, "go", &0).await }).await.expect("it is there");
        handle.result().await.expect("it ends");
        samples.push(moment("heard").await - moment("ended").await);
    }
    samples
}

/// A workflow in `home` ends, and somebody waits for it in `asker`.
pub(crate) async fn end_to_result(home: &Durable, asker: &Durable, many: u32) -> Samples {
    let mut samples = Vec::new();
    for number in 0..many {
        let id = format!("awaited-{number}");
        home.scope(child().id(&id).start()).await.expect("it starts");
        let handle = asker.retrieve_workflow::<u32>(&id).await.expect("it was started");
        let waits = tokio::spawn(async move { handle.result().await.map(|_| Instant::now()) });
        rest().await;
        noted().clear();
        home.scope(async { durable::send(&id, "go", &0).await }).await.expect("it is there");
        let heard = waits.await.expect("it does not panic").expect("it ends");
        samples.push(heard - moment("ended").await);
    }
    samples
}
