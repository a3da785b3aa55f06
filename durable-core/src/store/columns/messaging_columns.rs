//! The columns of `messages`, and of `events` and `streams`.

use super::{Column, read_row};
use crate::store::decode::{LenientText, text};
use crate::store::rows_by_kind::value_of;
use crate::store::{NewMessage, Publication};
use crate::types::listing::{EventInfo, MessageInfo, StreamItemInfo};
use crate::types::position::Position;
use crate::types::time::Timestamp;

/// The columns of a message, besides the time and the receiver's key, which is looked up.
pub(in crate::store) const MESSAGE: &[Column<NewMessage>] = &[
    Column::big_int("key", |it| Some(it.key.get())),
    Column::text("topic", |it| Some(&it.topic)),
    Column::text("idempotency_key", |it| it.idempotency_key.as_deref()),
    Column::text("payload", |it| Some(&it.payload)),
];

/// The id of a message's receiver.
pub(in crate::store) const RECEIVER: &[Column<NewMessage>] = &[Column::text("id", |it| Some(&it.to))];

/// The columns of an event's value or a stream's item, besides the time.
pub(in crate::store) const PUBLICATION: &[Column<Publication>] = &[
    Column::big_int("workflow", |it| Some(it.workflow.get())),
    Column::text("name", |it| Some(&it.name)),
    Column::big_int("key", |it| Some(it.key.get())),
    Column::text("branch", |it| Some(&it.position.branch)),
    Column::integer("position", |it| Some(it.position.number)),
    Column::text("value", value_of),
];

read_row! {
    /// An event in a listing.
    EventInfoRow => EventInfo {
        name: String => name,
        value: LenientText => value: value.into_string(),
        set_at: Timestamp => set_at: set_at.to_date(),
        branch: String => position: Position::new(branch, position),
        position: i32,
    }
}

read_row! {
    /// A message in a listing.
    MessageInfoRow => MessageInfo {
        topic: String => topic,
        payload: LenientText => payload: payload.into_string(),
        idempotency_key: Option<String> => idempotency_key,
        sent_at: Timestamp => sent_at: sent_at.to_date(),
        received_at: Option<Timestamp> => received_at: received_at.map(Timestamp::to_date),
    }
}

read_row! {
    /// An item of a stream in a listing.
    StreamItemInfoRow => StreamItemInfo {
        stream: String => stream,
        value: Option<LenientText> => value: text(value),
        written_at: Timestamp => written_at: written_at.to_date(),
        branch: String => position: Position::new(branch, position),
        position: i32,
    }
}
