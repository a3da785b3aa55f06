//! `durable doctor` finds workflows that no living program takes, and `durable show` says why one waits.

use durable::prelude::*;

use super::doctor::{check, doctor, finds};
use super::process::durable;
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    workflows_that_no_living_program_takes_are_found,
    what_is_shown_of_a_workflow_says_why_it_waits,
    a_start_on_an_unknown_queue_or_of_an_unknown_workflow_is_warned_of,
}

#[queue]
static TAKEN: Queue = Queue::new("cli-taken");

#[queue]
static LEFT: Queue = Queue::new("cli-left");

#[queue]
static NARROW: Queue = Queue::new("cli-narrow").concurrency(1);

#[workflow(queue = NARROW)]
async fn cli_why_sleeps() -> Result<()> {
    durable::set_event("runs", &true).await?;
    durable::sleep(Duration::from_hours(1)).await;
    Ok(())
}

#[workflow]
async fn cli_why_receives() -> Result<Option<u32>> {
    durable::recv("number", Duration::from_hours(1)).await
}

#[workflow]
async fn cli_why_parent() -> Result<Option<u32>> {
    cli_why_receives().id("why-child").await
}

#[workflow(queue = TAKEN)]
async fn cli_left_over() -> Result<()> {
    Ok(())
}

async fn workflows_that_no_living_program_takes_are_found(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    let enqueue = async |name: &str, queue: &str| durable(database, &["enqueue", name, "--queue", queue]).await.good();
    assert_eq!(check(&doctor(database).await, "waiting work").0, "good", "nothing waits");
    enqueue("cli_left_over", TAKEN.name()).await;
    finds(
        &doctor(database).await,
        "waiting work",
        "warning",
        "1 workflows wait, and no process of the application lives",
    );

    let builder = Durable::builder("cli").system_database(database.url()).listen_to([TAKEN.name()]);
    let app = builder.launch().await.unwrap();
    crate::support::until("it is taken", async || {
        database.workflows().await.iter().all(|it| it.status == Status::Success)
    })
    .await;
    app.scope(LEFT.pause()).await.unwrap();
    enqueue("cli_left_over", LEFT.name()).await;
    assert_eq!(check(&doctor(database).await, "waiting work").0, "good", "it waits because the queue is paused");
    app.scope(LEFT.resume()).await.unwrap();
    let expected = "no living process takes from the queue \"cli-left\"";
    finds(&doctor(database).await, "waiting work", "warning", expected);
    enqueue("cli_unknown", TAKEN.name()).await;
    let expected =
        "1 of \"cli_unknown\" wait on the queue \"cli-taken\", and no living process has a workflow of this name";
    finds(&doctor(database).await, "waiting work", "warning", expected);
    durable(database, &["start", "cli_unknown"]).await.good();
    let expected = "1 of \"cli_unknown\" wait, and no living process has a workflow of this name";
    finds(&doctor(database).await, "waiting work", "warning", expected);
    app.shutdown().await;
}

async fn what_is_shown_of_a_workflow_says_why_it_waits(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    let enqueue = async |name: &str, queue: &str, id: &str| {
        durable(database, &["enqueue", name, "--queue", queue, "--id", id]).await.good();
    };
    let says = async |id: &str, part: &str| {
        crate::support::until(part, async || {
            let shown = durable(database, &["show", id, "-o", "json"]).await.json();
            shown["why"].as_str().is_some_and(|it| it.contains(part))
        })
        .await;
    };
    enqueue("cli_left_over", LEFT.name(), "why-left").await;
    says("why-left", "no process of the application lives: launch it").await;

    let builder = Durable::builder("cli").system_database(database.url()).listen_to([NARROW.name()]);
    let app = builder.launch().await.unwrap();
    says("why-left", "no living process has a workflow \"cli_left_over\" and takes from the queue \"cli-left\"").await;
    durable(database, &["queue", "pause", LEFT.name()]).await.good();
    says("why-left", "the queue \"cli-left\" is paused: `durable queue resume cli-left`").await;
    enqueue("cli_why_sleeps", NARROW.name(), "why-sleeps").await;
    says("why-sleeps", "it sleeps until 20").await;
    enqueue("cli_why_sleeps", NARROW.name(), "why-next").await;
    says("why-next", "the queue \"cli-narrow\" lets 1 run at once, and 1 run").await;
    durable(database, &["delay", "why-next", "--for", "1h"]).await.good();
    says("why-next", "it is delayed until 20").await;
    durable(database, &["start", "cli_why_parent", "--id", "why-parent"]).await.good();
    says("why-parent", "children have not ended: why-child (pending)").await;
    says("why-child", "it waits for a message at position 1 until 20").await;
    durable(database, &["send", "why-child", "nummber", "1"]).await.good();
    says("why-child", "unreceived are messages on nummber").await;
    let shown = durable(database, &["show", "why-child"]).await.good();
    assert!(shown.lines().any(|it| it.contains("why  ") && it.contains("it waits for a message")), "{shown}");
    app.shutdown().await;
}

async fn a_start_on_an_unknown_queue_or_of_an_unknown_workflow_is_warned_of(database: &ProcessDatabase) {
    let builder = Durable::builder("cli").system_database(database.url()).listen_to([TAKEN.name()]);
    let app = builder.launch().await.unwrap();
    let warning = async |arguments: &[&str]| {
        let printed = durable(database, arguments).await;
        assert_eq!(printed.code, Some(0), "{printed:?}");
        printed.err
    };
    let misspelled = warning(&["enqueue", "cli_left_over", "--queue", "cli-takn"]).await;
    assert!(misspelled.contains("no program has declared the queue \"cli-takn\""), "{misspelled}");
    assert!(misspelled.contains("did you mean \"cli-taken\"?"), "{misspelled}");
    let unknown = warning(&["enqueue", "cli_unknown", "--queue", TAKEN.name()]).await;
    assert!(unknown.contains("no living process has a workflow \"cli_unknown\""), "{unknown}");
    let unknown = warning(&["start", "cli_unknown"]).await;
    assert!(unknown.contains("no living process has a workflow \"cli_unknown\": it waits"), "{unknown}");
    assert_eq!(warning(&["enqueue", "cli_left_over", "--queue", TAKEN.name()]).await, "");
    app.shutdown().await;
}
