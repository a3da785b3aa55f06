//! Decodes rows about messages, events and streams into the types of the traits.

use sqlx::FromRow;

use crate::store::columns::FinishedRow;
use crate::store::decode::{Decoded, decode, status};
use crate::store::{
    CancelledRun, ExecutorKey, PollResult, PolledEvent, PolledMessage, StoreError, StoredEventValue, StreamCursor,
    StreamItem, StreamPage, Timestamp, Verdict,
};
use crate::types::status::Status;

/// One row of a poll's result. Its kind determines which columns it has.
#[derive(FromRow)]
pub(super) struct PollRow {
    what: String,
    /// The index in the request; for a row without an index, the time or the key.
    number: i64,
    key: Option<i64>,
    id: Option<String>,
    status: Option<String>,
    output: Option<String>,
}

/// Collects the rows of a poll.
pub(super) fn found<'r, R>(rows: &'r [R]) -> Result<PollResult, StoreError>
where
    R: sqlx::Row,
    PollRow: FromRow<'r, R>,
    FinishedRow: FromRow<'r, R>,
{
    let mut found = PollResult::default();
    for row in rows {
        let PollRow { what, number, key, id, output, status: row_status } = PollRow::from_row(row)?;
        let index = usize::try_from(number).unwrap_or_default(); // an index comes from our own request
        match &*what {
            "now" => found.now = number.into(),
            "cancelled" => found.cancelled.push(number.into()),
            "end" => found.ends.push(decode::<_, FinishedRow, _>(row)?),
            "missing" => found.missing.extend(id),
            "message" => {
                let (key, payload) = (key.unwrap_or_default(), output.unwrap_or_default());
                found.messages.push(PolledMessage { index, key: key.into(), payload });
            }
            "event" => {
                let parked = output.is_none() && row_status.as_deref() == Some(Status::Parked.as_str());
                found.events.push(PolledEvent { index, value: output, parked });
            }
            "parked_stream" => found.parked_streams.push(index),
            _ => found.streams.push(index),
        }
    }
    Ok(found)
}

/// A workflow and one item of its stream; NULLs if there is none.
#[derive(FromRow)]
pub(super) struct ItemRow {
    status: String,
    at: Option<Timestamp>,
    key: Option<i64>,
    value: Option<String>,
}

/// Collects the rows of a stream.
pub(super) fn read_stream<'r, R>(rows: &'r [R]) -> Result<StreamPage, StoreError>
where
    R: sqlx::Row,
    ItemRow: FromRow<'r, R>,
{
    let mut items = StreamPage::default();
    for row in rows {
        let row = ItemRow::from_row(row)?;
        items.status = Some(status(&row.status)?);
        if let (Some(at), Some(key)) = (row.at, row.key) {
            items.items.push(StreamItem { cursor: StreamCursor { at, key: key.into() }, value: row.value });
        }
    }
    Ok(items)
}

#[derive(FromRow)]
pub(super) struct EventRow {
    at: Timestamp,
    value: String,
}

impl Decoded<StoredEventValue> for EventRow {
    fn decoded(self) -> Result<StoredEventValue, StoreError> {
        Ok(StoredEventValue { at: self.at, value: self.value })
    }
}

/// A workflow that is being cancelled, as it was before.
#[derive(FromRow)]
pub(super) struct FamilyRow {
    id: String,
    name: String,
    queue: Option<String>,
    status: String,
    executor: Option<i64>,
}

impl Decoded<(Status, CancelledRun)> for FamilyRow {
    fn decoded(self) -> Result<(Status, CancelledRun), StoreError> {
        let status = status(&self.status)?;
        let executor = self.executor.map(ExecutorKey::new).filter(|_| status == Status::Pending);
        Ok((status, CancelledRun { id: self.id, name: self.name, queue: self.queue, executor }))
    }
}

/// The status of a message's receiver, and whether the message is there.
#[derive(FromRow)]
pub(super) struct SentRow {
    pub(super) status: Option<String>,
    pub(super) sent: i64,
    pub(super) there: bool,
}

/// The result of sending a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was written.
    Now,
    /// It was already there, or another one with its idempotency key was.
    Before,
    /// No workflow can receive it.
    NoReceiver(Option<Status>),
}

impl Sent {
    /// The verdict for an entry with a message to this workflow that cannot be received.
    pub(super) fn refusal(self, to: &str) -> Option<Verdict> {
        match self {
            Self::Now | Self::Before => None,
            Self::NoReceiver(status) => Some(Verdict::NoReceiver { id: to.to_owned(), status }),
        }
    }
}

impl Decoded<Sent> for SentRow {
    fn decoded(self) -> Result<Sent, StoreError> {
        if self.sent > 0 {
            return Ok(Sent::Now);
        }
        let status = self.status.as_deref().map(status).transpose()?;
        // If the receiver has not ended, only another message can be the conflict, perhaps one that
        // this statement does not see because it was committed while the statement ran.
        let alive = status.is_some_and(|it| !it.is_terminal());
        Ok(if self.there || alive { Sent::Before } else { Sent::NoReceiver(status) })
    }
}
