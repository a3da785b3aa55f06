//! The columns of `messages`, and of `events` and `streams`.

use super::Column;
use crate::store::rows_by_kind::value_of;
use crate::store::{NewMessage, Publication};

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
