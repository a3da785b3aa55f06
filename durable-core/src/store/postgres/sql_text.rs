//! SQL texts: written with the prefix `durable.`, and rendered once per store with the schema that
//! was configured.

use std::sync::Arc;

use crate::store::postgres::{
    batch_sql, claim, claim_limited, commit, commit_rows, control, enqueue, events_and_streams, executors, messages,
    messaging, notify, poll, queues, read, schedules,
};
use crate::store::{StoreError, StoreErrorKind};

/// The microseconds since 1970, once per statement. A subquery with a volatile function is not
/// flattened, so that all rows of a statement get the same time.
pub(super) const CLOCK: &str = "(select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now)";

/// The fence as a scalar: 1 while the executor `$1` has the epoch `$2`. The share lock makes a
/// takeover wait for this statement, and this statement for a takeover that came first.
pub(super) const FENCE: &str =
    "(select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share)";

/// Owners of PENDING workflows whose row is gone or deposed, as a table `orphaned (executor)` for a
/// `with recursive`. It hops from owner to owner through the index of PENDING workflows, so it
/// costs one look per owner and not one per workflow.
pub(super) const ORPHANED: &str = "
    owners (executor) as (
        (select executor from durable.workflows
          where status = 'PENDING' and executor is not null order by executor limit 1)
        union all
        select (select w.executor from durable.workflows w
                 where w.status = 'PENDING' and w.executor > o.executor order by w.executor limit 1)
          from owners o where o.executor is not null),
    orphaned (executor) as (
        select o.executor from owners o
         where o.executor is not null
           and not exists (select 1 from durable.executors e where e.key = o.executor and e.state <> 'DEAD'))";

/// Where the tables are.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    /// The name as SQL has to write it.
    quoted: String,
}

impl Schema {
    /// # Errors
    /// [`StoreErrorKind::Refused`] for what Postgres would cut short or could not hold.
    pub(super) fn new(name: &str) -> Result<Self, StoreError> {
        let longest = 63; // NAMEDATALEN - 1: Postgres cuts longer names off without a word
        if name.is_empty() || name.len() > longest || name.chars().any(char::is_control) {
            return Err(StoreError::new(
                StoreErrorKind::Refused,
                format_args!(
                    "the schema name {name:?} cannot be used: 1 to {longest} bytes without control characters"
                ),
            ));
        }
        let quoted = if name == "durable" { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) };
        Ok(Self { quoted })
    }

    /// The text with this schema in the place of `durable.`.
    pub(super) fn render(&self, text: &str) -> Arc<str> {
        text.replace("durable.", &format!("{}.", self.quoted)).into()
    }

    /// The schema as SQL has to write it.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }
}

/// The texts of all files of this store.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) commit: commit::Texts,
    pub(super) batch: batch_sql::Texts,
    pub(super) careful: commit_rows::Texts,
    pub(super) executors: executors::Texts,
    pub(super) enqueue: enqueue::Texts,
    pub(super) queues: queues::Texts,
    pub(super) claim: claim::Texts,
    pub(super) limited: claim_limited::Texts,
    pub(super) read: read::Texts,
    pub(super) control: control::Texts,
    pub(super) schedules: schedules::Texts,
    pub(super) look: poll::Texts,
    pub(super) mail: messages::Texts,
    pub(super) shows: events_and_streams::Texts,
    pub(super) talk: messaging::Texts,
    pub(super) wake: notify::Texts,
}

impl Texts {
    pub(super) fn new(schema: &Schema) -> Self {
        let made = |text: &str| schema.render(text);
        Self {
            commit: commit::Texts::new(made),
            batch: batch_sql::Texts::new(schema.clone()),
            careful: commit_rows::Texts::new(made),
            executors: executors::Texts::new(made),
            enqueue: enqueue::Texts::new(made),
            queues: queues::Texts::new(made),
            claim: claim::Texts::new(made),
            limited: claim_limited::Texts::new(made),
            read: read::Texts::new(made),
            control: control::Texts::new(made),
            schedules: schedules::Texts::new(made),
            look: poll::Texts::new(made),
            mail: messages::Texts::new(made),
            shows: events_and_streams::Texts::new(made),
            talk: messaging::Texts::new(made),
            wake: notify::Texts::new(made),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_put_in_as_a_quoted_identifier() {
        let render = |name: &str| Schema::new(name).expect("it is a good name").render("select * from durable.steps");
        assert_eq!(&*render("durable"), "select * from durable.steps");
        assert_eq!(&*render("My app"), "select * from \"My app\".steps");
        assert_eq!(&*render("a\"; drop"), "select * from \"a\"\"; drop\".steps");
    }

    #[test]
    fn a_schema_name_that_would_be_cut_off_is_refused() {
        for bad in ["", "a\nb", &"x".repeat(64)] {
            assert!(Schema::new(bad).is_err(), "{bad:?}");
        }
    }
}
