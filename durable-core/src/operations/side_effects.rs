//! The time, ids and random numbers, recorded so that a replay gets the same values.

use std::future::Future;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::types::payload::{Codec, Outcome, Payload};

/// The current time, recorded: a replay gets the same value. It is written with the next commit of the
/// workflow.
///
/// The position is reserved when this is called. In a step and outside any workflow nothing is recorded.
pub fn now() -> impl Future<Output = DateTime<Utc>> + Send {
    // The engine's clock is the database's, which is the same for the whole fleet.
    once("now", || current_engine::engine().map_or_else(|_| Utc::now(), |runtime| runtime.timers.clock.now()))
}

/// A new UUID, version 7, recorded: a replay gets the same value. It is written with the next commit of
/// the workflow.
pub fn uuid() -> impl Future<Output = Uuid> + Send {
    once("uuid", Uuid::now_v7)
}

/// A random number from 0 (inclusive) to 1 (exclusive), recorded: a replay gets the same value. It is
/// written with the next commit of the workflow. Not for secrets.
pub fn random() -> impl Future<Output = f64> + Send {
    once("random", || {
        // The first 48 bits are random; the version follows them.
        let random = Uuid::new_v4().as_u64_pair().0 >> 16;
        #[expect(clippy::cast_precision_loss, reason = "48 bits fit")]
        let random = random as f64 / (1_u64 << 48) as f64;
        random
    })
}

/// Calls `make` once and records the value. It is not a side effect outside the database, so its record
/// is written with the next one.
fn once<T: Payload>(name: &'static str, make: fn() -> T) -> impl Future<Output = T> + Send {
    let call_site = CallSite::here();
    async move {
        let reserved = match call_site {
            CallSite::Body(reserved) => reserved,
            CallSite::Outside | CallSite::Step(_) => return make(),
            CallSite::Transaction(scope) => return scope.refuse(&format!("`durable::{name}`")).await,
        };
        let operation = Operation::once(name);
        reserved.check_same_body(name).await;
        if let Some(record) = reserved.replayed(operation).await {
            return reserved.decode(Codec::PLAIN, record).await;
        }
        let value = make();
        let outcome = match reserved.encode(Codec::PLAIN, operation, &value) {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Output("null".to_owned()), // these types always encode
        };
        reserved
            .record_result(
                operation,
                OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() },
            )
            .await;
        value
    }
}
