//! Histories of workflows, as a whole: read and written as JSON, one table at a time.

use serde::Serialize;
use sqlx::Row;

use super::SqlStore;
use super::dialect::{INPUT_OF_W, JOIN_INPUTS, from_json, json_list, json_object};
use crate::store::sql::sql_statements;
use crate::store::{Histories, StoreError, StoreErrorKind, StoreFuture};
use crate::types::history::{History, HistoryEvent, HistoryMessage, HistoryStep, HistoryStreamItem, HistoryWorkflow};
use crate::types::keys::WorkflowKey;

sql_statements! {
    /// One statement, so that all of it is of one moment. $1 id.
    export = format!(
        "select cast({} as text) as history from durable.workflows w {JOIN_INPUTS} where w.id = $1",
        json_object(&[
            ("format", History::FORMAT.to_string()),
            ("workflow", json_object(&of_row("w", HistoryWorkflow::FIELDS))),
            ("steps", json_list("steps", &json_object(&of_row("s", HistoryStep::FIELDS)))),
            ("events", json_list("events", &json_object(&of_row("s", HistoryEvent::FIELDS)))),
            ("stream_items", json_list("streams", &json_object(&of_row("s", HistoryStreamItem::FIELDS)))),
            ("messages", json_list("messages", &json_object(&of_row("s", HistoryMessage::FIELDS))))
        ])
    );
    /// Here and below: $1 the key of the workflow; $2 the rows.
    workflow = format!("{} on conflict (id) do nothing", importing("workflows", "key", HistoryWorkflow::FIELDS));
    steps = importing("steps", "workflow", HistoryStep::FIELDS);
    events = importing("events", "workflow", HistoryEvent::FIELDS);
    stream_items = importing("streams", "workflow", HistoryStreamItem::FIELDS);
    messages = importing("messages", "workflow", HistoryMessage::FIELDS);
}

/// The names of fields, each with its column of `row`.
fn of_row<'a>(row: &str, fields: &[&'a str]) -> Vec<(&'a str, String)> {
    let column = |name: &str| if name == "input" { INPUT_OF_W.to_owned() } else { format!("{row}.{name}") };
    fields.iter().map(|name| (*name, column(name))).collect()
}

fn importing(table: &str, key: &str, fields: &[&str]) -> String {
    format!(
        "insert into durable.{table} ({key}, {}) select cast($1 as bigint), {} where true",
        fields.join(", "),
        from_json(table, fields, 2)
    )
}

impl Histories for SqlStore {
    fn export<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<History>> {
        self.call(async move {
            let query = self.query(&self.sql.histories.export).bind(id);
            let Some(row) = query.fetch_optional(&mut *self.reading().await?).await? else { return Ok(None) };
            let mut history: History = serde_json::from_str(row.try_get("history")?).map_err(unreadable)?;
            history.sort();
            Ok(Some(history))
        })
    }

    fn import<'a>(&'a self, key: WorkflowKey, history: &'a History) -> StoreFuture<'a, bool> {
        self.call(async move {
            let sql = &self.sql.histories;
            let rows = [
                (&sql.workflow, json(&[&history.workflow])?),
                (&sql.steps, json(&history.steps)?),
                (&sql.events, json(&history.events)?),
                (&sql.stream_items, json(&history.stream_items)?),
                (&sql.messages, json(&history.messages)?),
            ];
            let mut connection = self.writing().await?;
            let mut transaction = self.begin(&mut connection).await?;
            let mut written = 0;
            for (text, rows) in rows {
                let done = self.query(text).bind(key.get()).bind(rows).execute(&mut *transaction).await?;
                written += done.rows_affected();
                if written == 0 {
                    self.roll_back(transaction).await?;
                    return Ok(false); // there is a workflow of this id
                }
            }
            self.end(transaction, written).await?;
            Ok(true)
        })
    }
}

fn json<T: Serialize + ?Sized>(rows: &T) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(unreadable)
}

#[allow(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Refused, format_args!("the history cannot be read: {error}"))
}
