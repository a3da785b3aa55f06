//! A library whose docs are read by other people.

use durable::prelude::*;
use durable::sqlx::PgConnection;

/// Both types are written out.
#[workflow]
pub async fn refund(order: String, cents: u64) -> Result<u64, Declined> {
    Ok(order.len() as u64 + cents)
}

/// It has the error of durable.
#[workflow]
pub async fn quote(order: String) -> durable::Result<u64> {
    Ok(order.len() as u64)
}

/// It has the error of the alias in scope.
#[workflow]
pub async fn checkout(order: String) -> Result<String> {
    Ok(order)
}

/// A step.
#[step]
pub async fn ship(order: &str, count: u32) -> Result<String> {
    Ok(format!("{count} of {order}"))
}

/// A transaction.
#[transaction]
pub async fn reserve(tx: &mut PgConnection, order: &str) -> Result<u64> {
    let _ = tx;
    Ok(order.len() as u64)
}

/// The error of a refund.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl From<durable::Error> for Declined {
    fn from(_: durable::Error) -> Self {
        Self
    }
}
