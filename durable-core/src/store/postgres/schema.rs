//! The schema of the tables. SQL is written with the prefix `durable.`, and rendered once per store with
//! the name that was configured.

use std::borrow::Cow;
use std::sync::Arc;

use super::dialect::MIGRATIONS_TABLE;
use crate::store::{StoreError, StoreErrorKind};

/// The clock of a schema that belongs to a test: ahead of the server's, or stopped.
const TEST_CLOCK: &[&str] = &[
    "create table if not exists durable._test_time (
        only_row boolean primary key default true check (only_row),
        ahead interval not null default '0',
        stopped_at timestamptz
    )",
    "insert into durable._test_time default values on conflict do nothing",
    "create or replace function durable._test_clock() returns timestamptz
     language sql volatile set search_path = pg_catalog, pg_temp
     as 'select coalesce(stopped_at, clock_timestamp() + ahead) from durable._test_time'",
];

/// The schema that the tables are in.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// The name as SQL has to write it.
    quoted: String,
    /// Whether the schema has a clock of its own, which tests stop and move.
    has_clock: bool,
}

impl Schema {
    /// What makes the schema, and the table of applied migrations.
    pub(super) fn preparations(&self) -> [String; 2] {
        [
            format!("create schema if not exists {}", self.quoted()),
            format!(
                "create table if not exists {MIGRATIONS_TABLE} (
                    version     bigint primary key,
                    description text   not null,
                    checksum    bytea  not null,
                    applied_at  bigint not null
                )"
            ),
        ]
    }

    /// # Errors
    /// [`StoreErrorKind::Refused`] for a name that Postgres would cut off or refuse.
    pub(super) fn new(name: &str) -> Result<Self, StoreError> {
        let longest = 63; // NAMEDATALEN - 1: Postgres cuts off longer names silently
        if name.is_empty() || name.len() > longest || name.chars().any(char::is_control) {
            return Err(StoreError::new(
                StoreErrorKind::Refused,
                format_args!(
                    "the schema name {name:?} cannot be used: 1 to {longest} bytes without control characters"
                ),
            ));
        }
        let quoted = if name == "durable" { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) };
        Ok(Self { quoted, has_clock: false })
    }

    /// The same schema with a clock of its own, which tests stop and move. Everything in SQL that asks for the time
    /// asks that clock then, the functions of the schema included.
    pub(super) fn with_clock(self, has_clock: bool) -> Self {
        Self { has_clock, ..self }
    }

    /// The text with this schema instead of `durable.`.
    pub(super) fn render(&self, text: &str) -> Arc<str> {
        let text = if self.has_clock {
            Cow::Owned(text.replace("clock_timestamp()", "durable._test_clock()"))
        } else {
            Cow::Borrowed(text)
        };
        self.qualify(&text)
    }

    fn qualify(&self, text: &str) -> Arc<str> {
        text.replace("durable.", &format!("{}.", self.quoted)).into()
    }

    /// The statements that create the schema's clock, if it has one.
    pub(super) fn clock_statements(&self) -> Vec<Arc<str>> {
        let statements = if self.has_clock { TEST_CLOCK } else { &[] };
        statements.iter().map(|text| self.qualify(text)).collect()
    }

    /// Stops the schema's clock, or lets it run on. $1 the time at which it stops, in microseconds since 1970, or null.
    #[cfg(feature = "testing")]
    pub(super) fn stop_clock(&self) -> Arc<str> {
        self.qualify(
            "update durable._test_time t
                set ahead = make_interval(secs => extract(epoch from clock.time - clock_timestamp())::double precision),
                    stopped_at = case when $1::bigint is not null then clock.time end
               from (select greatest(durable._test_clock(), 'epoch'::timestamptz + $1::bigint * interval '1 microsecond')
                         as time) clock
             returning (extract(epoch from clock.time) * 1000000)::bigint",
        )
    }

    /// The schema as SQL has to write it.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_rendered_as_a_quoted_identifier() {
        let render = |name: &str| Schema::new(name).expect("it is a good name").render("select * from durable.steps");
        assert_eq!(&*render("durable"), "select * from durable.steps");
        assert_eq!(&*render("My app"), "select * from \"My app\".steps");
        assert_eq!(&*render("a\"; drop"), "select * from \"a\"\"; drop\".steps");
    }

    #[test]
    fn a_schema_with_a_clock_asks_that_clock_for_the_time() {
        let schema = Schema::new("test").expect("it is a good name");
        assert_eq!(&*schema.render("select clock_timestamp()"), "select clock_timestamp()");
        let with_clock = schema.with_clock(true);
        assert_eq!(&*with_clock.render("select clock_timestamp()"), "select \"test\"._test_clock()");
        let created = with_clock.clock_statements().concat();
        assert!(created.contains("clock_timestamp() + ahead") && !created.contains("durable."), "{created}");
    }

    #[test]
    fn a_schema_name_that_would_be_cut_off_is_refused() {
        for bad in ["", "a\nb", &"x".repeat(64)] {
            assert!(Schema::new(bad).is_err(), "{bad:?}");
        }
    }
}
