//! Human approval with a deadline: a workflow asks a person, waits for the decision, reminds once, and
//! gives up when the deadline has passed. The wait can last for weeks and survives every restart.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

// ANCHOR: workflow
/// What the person decided. The web page that shows the buttons sends it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Decision {
    approved: bool,
    by: String,
}

/// Sends the mail with the link. The link contains the workflow's id, to which the decision is sent.
#[step(retries = 10)]
async fn ask(subject: &str, expense: &str) -> Result<()> {
    let workflow = durable::step_status().map(|it| it.workflow_id).unwrap_or_default();
    println!("  mail: {subject}: {expense}: https://intranet.example/approve/{workflow}");
    Ok(())
}

#[step(retries = 10)]
async fn pay(expense: &str) -> Result<()> {
    println!("  paid: {expense}");
    Ok(())
}

#[workflow]
async fn reimburse(expense: String, deadline: Duration) -> Result<String> {
    ask("Please decide", &expense).await?;
    durable::set_event("status", "waiting for a decision").await?;

    let mut decision: Option<Decision> = durable::recv("decision", deadline / 2).await?;
    if decision.is_none() {
        ask("Reminder", &expense).await?;
        decision = durable::recv("decision", deadline / 2).await?;
    }

    let status = match decision {
        Some(Decision { approved: true, by }) => {
            pay(&expense).await?;
            format!("approved by {by}")
        }
        Some(Decision { approved: false, by }) => format!("rejected by {by}"),
        None => "expired".to_owned(),
    };
    durable::set_event("status", &status).await?;
    Ok(status)
}

/// What the web page calls: any process that has the engine, and any number of times.
async fn decide(workflow: &str, decision: &Decision) -> Result<()> {
    durable::send(workflow, "decision", decision).idempotency_key(format!("decision-on-{workflow}")).await
}
// ANCHOR_END: workflow

pub(crate) async fn run(database: &str) -> Result<()> {
    let app = Durable::builder("approval").system_database(database).launch().await?;
    let week = Duration::from_hours(7 * 24);

    let approved = reimburse("train to Lyon, 84 EUR".into(), week).id("expense-1").start().await?;
    let rejected = reimburse("a yacht".into(), week).id("expense-2").start().await?;
    let expired = reimburse("lunch, 12 EUR".into(), Duration::from_millis(200)).id("expense-3").start().await?;

    // The page shows where the workflow is, from the event.
    let status: Option<String> = approved.event("status", Duration::from_secs(10)).await?;
    assert_eq!(status.as_deref(), Some("waiting for a decision"));

    let yes = Decision { approved: true, by: "Ada".into() };
    decide("expense-1", &yes).await?;
    decide("expense-2", &Decision { approved: false, by: "Ada".into() }).await?;
    assert_eq!(approved.await?, "approved by Ada");
    assert_eq!(rejected.await?, "rejected by Ada");
    assert_eq!(expired.await?, "expired");

    // A decision that comes too late is refused: the workflow has ended.
    let late = durable::send("expense-3", "decision", &yes).await.expect_err("the deadline has passed");
    assert_eq!(late.kind(), durable::ErrorKind::Ended);

    app.shutdown().await;
    Ok(())
}
