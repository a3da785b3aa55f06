//! `durable doctor` finds workflows that no living program takes.

use durable::prelude::*;

use super::doctor::{check, doctor, finds};
use super::process::durable;
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    workflows_that_no_living_program_takes_are_found,
}

#[queue]
static TAKEN: Queue = Queue::new("cli-taken");

#[queue]
static LEFT: Queue = Queue::new("cli-left");

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
