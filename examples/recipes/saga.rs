//! Saga: book a trip with three services. When one of them refuses, cancel what was booked before, in
//! reverse order.

use std::sync::Mutex;

use durable::prelude::*;

/// A stand-in for the services: it keeps a list of the calls that it got, and the hotels are full.
#[derive(Default)]
pub(crate) struct Services {
    calls: Mutex<Vec<String>>,
}

impl Services {
    fn call(&self, call: String) {
        self.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(call);
    }
}

// ANCHOR: workflow
/// Books one part of the trip. In a real program this is a call of a service, with
/// `durable::idempotency_key()` so that a repeated call books once.
#[step(retries = 3, backoff = "50ms", retry_if = is_temporary)]
async fn book(part: &str, trip: &str) -> Result<String> {
    durable::state::<Services>().call(format!("book {part}"));
    if part == "hotel" && trip == "rome" {
        return Err(Error::msg("no room"));
    }
    Ok(format!("{part} to {trip}"))
}

/// A refusal is final. Only errors of the transport are worth another attempt.
fn is_temporary(error: &Error) -> bool {
    error.to_string().contains("connection")
}

/// Cancels a booking. It has many retries: a saga is only undone when every compensation succeeds.
#[step(retries = 100, max_backoff = "1m")]
async fn cancel(booking: &str) -> Result<()> {
    durable::state::<Services>().call(format!("cancel {booking}"));
    Ok(())
}

#[workflow]
async fn book_trip(trip: String) -> Result<Vec<String>> {
    let mut bookings = Vec::new();
    for part in ["flight", "car", "hotel"] {
        match book(part, &trip).await {
            Ok(booking) => bookings.push(booking),
            Err(refusal) => {
                for booking in bookings.iter().rev() {
                    cancel(booking).await?;
                }
                return Err(Error::msg(format!("the trip to {trip} is not booked: {part}: {refusal}")));
            }
        }
    }
    Ok(bookings)
}
// ANCHOR_END: workflow

pub(crate) async fn run(database: &str) -> Result<()> {
    let app = Durable::builder("saga").system_database(database).state(Services::default()).launch().await?;

    let bookings = book_trip("paris".into()).id("trip-1").await?;
    assert_eq!(bookings, ["flight to paris", "car to paris", "hotel to paris"]);

    let error = book_trip("rome".into()).id("trip-2").await.expect_err("the hotels of Rome are full");
    assert_eq!(error.to_string(), "the trip to rome is not booked: hotel: no room");

    let services = app.scope(async { durable::state::<Services>() }).await;
    let calls = services.calls.lock().map_err(|_| Error::msg("a call panicked"))?.split_off(3);
    assert_eq!(calls, ["book flight", "book car", "book hotel", "cancel car to rome", "cancel flight to rome"]);

    app.shutdown().await;
    Ok(())
}
