//! The columns of the tables, declared once for both stores: what is written to them, in one file per
//! table or two, and what is read from them.
//!
//! A column that is written is an entry in a list: its name, its type, and how its value is taken from
//! the row of the contract. The inserts, the batch statements and their parameters are made from the
//! lists. A row that is read is declared with [`read_row!`]: the columns, and the fields they become.
//!
//! `docs/adding-a-store.md` shows how a column is added.

mod executor_columns;
mod messaging_columns;
mod queue_columns;
mod schedule_columns;
mod step_columns;
mod workflow_columns;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;

pub(super) use self::executor_columns::{EXECUTOR, ExecutorRow, ListedExecutorRow};
pub(super) use self::messaging_columns::{
    EventInfoRow, MESSAGE, MessageInfoRow, PUBLICATION, RECEIVER, StreamItemInfoRow,
};
pub(super) use self::queue_columns::{LIMITS, LimitsRow, QUEUE, QueueInfoRow, limits_of};
pub(super) use self::schedule_columns::{SCHEDULE, STATE_OF_SCHEDULE};
pub(super) use self::step_columns::{RECORD, RecordRow, StepRow};
pub(super) use self::workflow_columns::{
    CLAIM_ORDER, END, END_OF, ExistingRow, FinishedRow, PARENT_RUN, PLACEMENT, RunColumns, START, WorkflowRow,
};
use crate::types::time::Timestamp;

/// A time is a `bigint`.
impl<DB: sqlx::Database> sqlx::Type<DB> for Timestamp
where
    i64: sqlx::Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        i64::type_info()
    }

    fn compatible(ty: &DB::TypeInfo) -> bool {
        i64::compatible(ty)
    }
}

impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for Timestamp
where
    i64: sqlx::Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.as_micros().encode_by_ref(buffer)
    }
}

impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for Timestamp
where
    i64: sqlx::Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        i64::decode(value).map(Self::from_micros)
    }
}

/// A column that is written: its name, and how its value is taken from a row `R`.
#[derive(Debug)]
pub(super) struct Column<R> {
    pub(super) name: &'static str,
    pub(super) value: Value<R>,
    pub(super) usual: Option<Usual>,
}

/// A value that a column has in most rows. A batch in which all rows have the usual values is written by a statement
/// with constants in their place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usual {
    Null,
    Integer(i32),
    Text(&'static str),
}

/// The type of a column, with the way to its value.
#[derive(Debug)]
pub(super) enum Value<R> {
    BigInt(fn(&R) -> Option<i64>),
    Integer(fn(&R) -> Option<i32>),
    Boolean(fn(&R) -> Option<bool>),
    Text(fn(&R) -> Option<&str>),
    /// The input of a workflow. SQLite keeps a large one in a table of its own.
    Input(fn(&R) -> &str),
}

impl<R> Column<R> {
    pub(super) const fn big_int(name: &'static str, value: fn(&R) -> Option<i64>) -> Self {
        Self { name, value: Value::BigInt(value), usual: None }
    }

    pub(super) const fn integer(name: &'static str, value: fn(&R) -> Option<i32>) -> Self {
        Self { name, value: Value::Integer(value), usual: None }
    }

    pub(super) const fn boolean(name: &'static str, value: fn(&R) -> Option<bool>) -> Self {
        Self { name, value: Value::Boolean(value), usual: None }
    }

    pub(super) const fn text(name: &'static str, value: fn(&R) -> Option<&str>) -> Self {
        Self { name, value: Value::Text(value), usual: None }
    }

    /// A column with a value that most rows have.
    pub(super) const fn usually(usual: Usual, column: Self) -> Self {
        Self { name: column.name, value: column.value, usual: Some(usual) }
    }

    /// Whether this row has the usual value of the column; also if there is none.
    fn is_usual(&self, row: &R) -> bool {
        match (&self.value, self.usual) {
            (_, None) => true,
            (Value::BigInt(value), Some(Usual::Null)) => value(row).is_none(),
            (Value::Integer(value), Some(Usual::Null)) => value(row).is_none(),
            (Value::Text(value), Some(Usual::Null)) => value(row).is_none(),
            (Value::Integer(value), Some(Usual::Integer(usual))) => value(row) == Some(usual),
            (Value::Text(value), Some(Usual::Text(usual))) => value(row) == Some(usual),
            (_, Some(_)) => false,
        }
    }

    /// The type of the column in Postgres.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite knows the types of its parameters"))]
    pub(super) fn postgres_type(&self) -> &'static str {
        match self.value {
            Value::BigInt(_) => "bigint",
            Value::Integer(_) => "integer",
            Value::Boolean(_) => "boolean",
            Value::Text(_) | Value::Input(_) => "text",
        }
    }
}

impl Usual {
    /// The value as a constant.
    pub(super) fn sql(self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Integer(value) => value.to_string(),
            Self::Text(value) => format!("'{value}'"),
        }
    }
}

/// Whether a row has the usual values of all columns that have one.
pub(super) fn are_usual<R>(columns: &[Column<R>], row: &R) -> bool {
    columns.iter().all(|it| it.is_usual(row))
}

/// The columns that are parameters: all, or those without a usual value.
pub(super) fn varying<R>(columns: &[Column<R>], usual: bool) -> impl Iterator<Item = &Column<R>> {
    columns.iter().filter(move |it| !usual || it.usual.is_none())
}

/// The names of columns, as SQL lists them.
pub(super) fn names<R>(columns: &[Column<R>]) -> String {
    columns.iter().map(|it| it.name).collect::<Vec<_>>().join(", ")
}

/// The names of columns of the table or alias `row`.
pub(super) fn names_of<R>(row: &str, columns: &[Column<R>]) -> String {
    columns.iter().map(|it| format!("{row}.{}", it.name)).collect::<Vec<_>>().join(", ")
}

/// Columns to select from the table or alias `row`. Those in `instead` are computed: their name, and
/// the expression.
pub(super) fn select(row: &str, columns: &[&str], instead: &[(&str, &str)]) -> String {
    let column = |name: &&str| match instead.iter().find(|(computed, _)| computed == name) {
        Some((_, expression)) => format!("{expression} as {name}"),
        None => format!("{row}.{name}"),
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// Declares a row that is read, and how it becomes the type of the contract. `column: Type => field` is
/// a column that becomes a field of the same name; `column: Type => field: expression` computes the
/// field, where columns are named as their values; `column: Type` is only used by other fields.
macro_rules! read_row {
    (
        $(#[$meta:meta])*
        $row:ident => $made:ident { $($column:ident: $kind:ty $(=> $field:ident $(: $value:expr)?)?,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, sqlx::FromRow)]
        pub(in crate::store) struct $row {
            $(pub(in crate::store) $column: $kind,)*
        }

        impl $row {
            /// The names of the columns.
            pub(in crate::store) const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];
        }

        impl crate::store::decode::Decoded<$made> for $row {
            fn decoded(self) -> Result<$made, crate::store::StoreError> {
                let Self { $($column,)* } = self;
                Ok($made { $($($field $(: $value)?,)?)* })
            }
        }
    };
}
use read_row;
