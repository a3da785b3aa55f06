//! Idempotent webhook: the sender delivers each event at least once, and the program handles each once.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::StatusCode;
use durable::axum::Failure;
use durable::prelude::*;
use serde::{Deserialize, Serialize};

/// A stand-in for the ledger of the shop.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    cents: AtomicU64,
}

// ANCHOR: workflow
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payment {
    event_id: String,
    cents: u64,
}

#[step(retries = 10)]
async fn credit(cents: u64) -> Result<()> {
    durable::state::<std::sync::Arc<Ledger>>().cents.fetch_add(cents, Ordering::SeqCst);
    Ok(())
}

#[workflow]
async fn handle_payment(payment: Payment) -> Result<u64> {
    credit(payment.cents).await?;
    Ok(payment.cents)
}

/// `Router::new().route("/webhooks/payment", post(receive))`
///
/// The sender's event id is the workflow's id, so a second delivery attaches to the first one. The
/// answer is sent after the start is durable: a sender that gets no 202 delivers again.
async fn receive(Json(payment): Json<Payment>) -> Result<StatusCode, Failure> {
    let id = format!("payment-{}", payment.event_id);
    handle_payment(payment).id(id).start().await?;
    Ok(StatusCode::ACCEPTED)
}
// ANCHOR_END: workflow

pub(crate) async fn run(database: &str) -> Result<()> {
    let ledger = std::sync::Arc::new(Ledger::default());
    // The second round stands for another process: ids are remembered across restarts.
    for _ in 0..2 {
        let builder = Durable::builder("webhook").system_database(database).state(std::sync::Arc::clone(&ledger));
        let app = builder.launch().await?;
        let delivery = |event: &str, cents| receive(Json(Payment { event_id: event.into(), cents }));
        let answers = tokio::join!(delivery("a", 300), delivery("a", 300), delivery("b", 50), delivery("a", 300));
        for answer in [answers.0, answers.1, answers.2, answers.3] {
            assert_eq!(answer.map_err(|it| it.error().clone())?, StatusCode::ACCEPTED);
        }
        for id in ["payment-a", "payment-b"] {
            durable::retrieve_workflow::<u64>(id).await?.await?;
        }
        app.shutdown().await;
    }
    assert_eq!(ledger.cents.load(Ordering::SeqCst), 350, "each event was credited once");
    Ok(())
}
