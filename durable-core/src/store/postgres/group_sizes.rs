//! How the connections of a store are divided into groups, and how many there may be.

use crate::store::postgres::connector::ServerInfo;
use crate::store::{StoreError, StoreErrorKind, StoreSettings};

/// What few connections are enough for: commits, leases, everything else of the engine, users' transactions.
pub(super) const MIN_CONNECTIONS: u32 = 4;
/// What few connections are enough for a client.
const MIN_CLIENT_CONNECTIONS: u32 = 2;

/// How many connections are for what.
pub(super) struct GroupSizes {
    pub(super) writing: u32,
    pub(super) control: u32,
    pub(super) work: u32,
    pub(super) transactions: u32,
    pub(super) listener: bool,
}

impl GroupSizes {
    /// Of this many: one or two for commits; from 5 on one that listens; one or two for leases; of the others five
    /// eighths for users' transactions.
    pub(super) fn of(connections: u32) -> Self {
        let listener = connections > MIN_CONNECTIONS;
        let two_from = |least| if connections < least { 1 } else { 2 };
        let (writing, control) = (two_from(16), two_from(12));
        let rest = connections - writing - control - u32::from(listener);
        let transactions = (rest * 5 / 8).max(1);
        Self { writing, control, work: rest - transactions, transactions, listener }
    }

    /// Those of a client, which neither commits nor runs transactions: from 3 on one that listens, and one for
    /// executors' rows.
    pub(super) fn of_client(connections: u32) -> Self {
        let listener = connections > MIN_CLIENT_CONNECTIONS;
        Self { writing: 1, control: 1, work: (connections - 1 - u32::from(listener)).max(1), transactions: 1, listener }
    }
}

impl StoreSettings {
    /// The settings within the limits of the server and the role.
    ///
    /// # Errors
    /// The database cannot be used.
    pub(super) fn limited_by(mut self, server: &ServerInfo) -> Result<Self, StoreError> {
        let refused = |why: String| Err(StoreError::new(StoreErrorKind::Refused, why));
        if server.encoding != "UTF8" {
            return refused(format!(
                "it has the encoding {}, and durable needs UTF8: create it with `create database … encoding 'UTF8' template template0`",
                server.encoding
            ));
        }
        if let Some(limit) = server.connection_limit {
            let least = if self.for_client { MIN_CLIENT_CONNECTIONS } else { MIN_CONNECTIONS };
            if limit < least {
                return refused(format!(
                    "its role may have {limit} connections, and durable needs at least {least}, and {} as it is set: raise it with `alter role … connection limit`",
                    self.connections
                ));
            }
            if limit < self.connections {
                tracing::warn!(target: "durable", limit, wanted = self.connections, "the role may have fewer connections than durable is set to use; it uses as many as the role may have");
                self.connections = limit;
            }
        }
        if let Some(limit) = server.idle_timeout {
            self.transaction_idle_timeout = self.transaction_idle_timeout.min(limit);
        }
        Ok(self)
    }
}
