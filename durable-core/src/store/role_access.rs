//! What roles of a database may do.

use std::fmt;

/// What a role of the database is to do with the tables of durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RoleAccess {
    /// Run an application: launch an engine on a schema that is up to date.
    Application,
    /// Be a [`Client`](crate::Client) or use the command line: read everything, and start, message and control
    /// workflows.
    Client,
    /// Call the SQL functions, such as `durable.enqueue`, without rights on any table.
    Functions,
}

impl fmt::Display for RoleAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "the privileges of an application",
            Self::Client => "the privileges of a client",
            Self::Functions => "the right to call the SQL functions",
        })
    }
}
