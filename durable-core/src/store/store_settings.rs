//! How a store uses its database.

use std::time::Duration;

/// How a store uses its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// The most connections to Postgres, of all kinds. SQLite has one that writes and four that read.
    pub connections: u32,
    /// Whether it is for a client, which runs nothing: fewer connections are enough, and a file of SQLite is neither
    /// created nor changed.
    pub for_client: bool,
    /// For tests: whether the clock of the database can be stopped and moved. In Postgres that is a clock of the schema.
    pub moves_clock: bool,
    /// How long the database has for each statement of the engine.
    pub statement_timeout: Duration,
    /// After how long without a statement the server ends a user's transaction.
    pub transaction_idle_timeout: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            connections: 20,
            for_client: false,
            moves_clock: false,
            statement_timeout: Duration::from_secs(10),
            transaction_idle_timeout: Duration::from_mins(1),
        }
    }
}
