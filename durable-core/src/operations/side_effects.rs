//! What a workflow may not ask itself, since a replay would get another answer: the time, ids, chance.

use std::future::Future;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::types::payload::{Codec, Outcome, Payload};

/// The present time, recorded once: a replay gets the same. It costs no commit of its own.
///
/// The position is claimed when this is called. In a step and outside any workflow it is the plain time.
pub fn now() -> impl Future<Output = DateTime<Utc>> + Send {
    // The engine's clock is the database's, which is the same for the whole fleet.
    once("now", || current_engine::engine().map_or_else(|_| Utc::now(), |runtime| runtime.timers.clock.now()))
}

/// A fresh UUID, version 7, recorded once: a replay gets the same. It costs no commit of its own.
pub fn uuid() -> impl Future<Output = Uuid> + Send {
    once("uuid", Uuid::now_v7)
}

/// A number from 0 (inclusive) to 1 (exclusive) by lot, recorded once: a replay gets the same. It
/// costs no commit of its own. Not for secrets.
pub fn random() -> impl Future<Output = f64> + Send {
    once("random", || {
        // The first 48 bits are drawn by lot; behind them is the version.
        let lot = Uuid::new_v4().as_u64_pair().0 >> 16;
        #[expect(clippy::cast_precision_loss, reason = "48 bits fit")]
        let lot = lot as f64 / (1_u64 << 48) as f64;
        lot
    })
}

/// Asks once and records the answer. It is no side effect, so it waits for nothing, and its record
/// goes with the next one.
fn once<T: Payload>(name: &'static str, ask: fn() -> T) -> impl Future<Output = T> + Send {
    let place = CallSite::here();
    async move {
        let claim = match place {
            CallSite::Body(claim) => claim,
            CallSite::Outside | CallSite::Step(_) => return ask(),
            CallSite::Transaction(scope) => return scope.refuse(&format!("`durable::{name}`")).await,
        };
        let operation = Operation::once(name);
        claim.check_same_body(name).await;
        if let Some(record) = claim.replayed(operation).await {
            return claim.decode(Codec::PLAIN, record).await;
        }
        let value = ask();
        let outcome = match claim.encode(Codec::PLAIN, operation, &value) {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Output("null".to_owned()), // these types always encode
        };
        claim
            .record_result(
                operation,
                OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() },
            )
            .await;
        value
    }
}
