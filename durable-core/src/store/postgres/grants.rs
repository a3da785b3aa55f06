//! Gives roles of the database the privileges that they need, and no more.

use sqlx::AssertSqlSafe;

use crate::store::postgres::PostgresStore;
use crate::store::sql::sql_statements;
use crate::store::{RoleAccess, StoreError, StoreErrorKind};

sql_statements! {
    /// $1 the name of a role.
    role = "select 1 from pg_catalog.pg_roles where rolname = $1";
}

/// The functions for other languages. What begins with an underscore is for these functions alone.
const FUNCTIONS: [&str; 9] = [
    "enqueue(text, text, text, text, integer, text, text, interval, interval)",
    "enqueue(text, jsonb, text, text, integer, text, text, interval, interval)",
    "enqueue(text, json, text, text, integer, text, text, interval, interval)",
    "send(text, text, text, text)",
    "send(text, text, jsonb, text)",
    "send(text, text, json, text)",
    "cancel(text, boolean)",
    "status(text)",
    "result(text)",
];

impl PostgresStore {
    /// Grants the privileges in one transaction, and returns the statements.
    pub(super) async fn grant_to(&self, role: &str, access: RoleAccess) -> Result<Vec<String>, StoreError> {
        let mut connection = self.writing().await?;
        let known = self.query(&self.sql.grants.role).bind(role).fetch_optional(&mut *connection).await?;
        if known.is_none() {
            let why = format!("the server has no role {role:?}; create it with `create role … login`");
            return Err(StoreError::new(StoreErrorKind::Refused, why));
        }
        let statements = self.grants(role, access);
        let mut transaction = self.begin(&mut connection).await?;
        for statement in &statements {
            sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *transaction).await?;
        }
        self.end(transaction, 1).await?;
        Ok(statements)
    }

    fn grants(&self, role: &str, access: RoleAccess) -> Vec<String> {
        let (schema, role) = (self.schema.quoted(), format!("\"{}\"", role.replace('"', "\"\"")));
        let functions = FUNCTIONS.map(|it| format!("{schema}.{it}")).join(", ");
        let mut grants = vec![
            format!("grant usage on schema {schema} to {role}"),
            format!("grant execute on function {functions} to {role}"),
        ];
        match access {
            RoleAccess::Functions => {}
            RoleAccess::Application => {
                grants.push(format!("grant select, insert, update, delete on all tables in schema {schema} to {role}"));
            }
            RoleAccess::Client => {
                grants.push(format!("grant select on all tables in schema {schema} to {role}"));
                grants.push(format!(
                    "grant insert, update, delete on {} to {role}",
                    ["workflows", "steps", "messages", "events", "streams", "queues", "schedules"]
                        .map(|table| format!("{schema}.{table}"))
                        .join(", ")
                ));
            }
        }
        grants
    }
}
