//! The fast path for many rows: one statement of data-modifying CTEs over arrays.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::{PgConnection, Row};

use super::super::fault::is_clash;
use super::super::parts::{Parts, all, error_of, micros, output_of};
use super::super::{Entry, Fence, StoreError, Verdict};
use super::commit::Judged;
use super::text::{CLOCK, FENCE};
use super::{PgQuery, PostgresStore};

const BEGIN_COLUMNS: [(&str, &str); 10] = [
    ("key", "bigint"),
    ("id", "text"),
    ("name", "text"),
    ("instance", "text"),
    ("parent", "bigint"),
    ("version", "text"),
    ("fingerprint", "bigint"),
    ("input", "text"),
    ("timeout", "bigint"),
    ("deadline", "bigint"),
];
const FINISH_COLUMNS: [(&str, &str); 6] = [
    ("key", "bigint"),
    ("attempt", "integer"),
    ("status", "text"),
    ("output", "text"),
    ("error", "text"),
    ("reason", "text"),
];
const RECORD_COLUMNS: [(&str, &str); 12] = [
    ("ends", "boolean"),
    ("workflow", "bigint"),
    ("branch", "text"),
    ("position", "integer"),
    ("kind", "text"),
    ("name", "text"),
    ("child", "text"),
    ("attempts", "integer"),
    ("ran_for", "bigint"),
    ("output", "text"),
    ("error", "text"),
    ("failures", "text"),
];

/// One text for every set of parts, so that the server sees a handful of statements and plans each
/// of them once.
#[derive(Debug)]
pub(super) struct Texts([Arc<str>; 8]);

impl Texts {
    pub(super) fn new(made: impl Fn(&str) -> Arc<str>) -> Self {
        Self(std::array::from_fn(|set| made(&text(set & 1 > 0, set & 2 > 0, set & 4 > 0))))
    }

    fn of(&self, parts: &Parts<'_>) -> &Arc<str> {
        let set = [!parts.begins.is_empty(), !parts.finishes.is_empty(), !parts.records.is_empty()];
        &self.0[usize::from(set[0]) + 2 * usize::from(set[1]) + 4 * usize::from(set[2])]
    }
}

/// The statement for a set of parts. All parts see the database as it was before the statement, and
/// all hang on the fence, whose one row they are joined with.
fn text(begins: bool, finishes: bool, records: bool) -> String {
    let mut next = 3; // behind the fence
    let mut arrays = |columns: &[(&str, &str)]| {
        let first = next;
        next += columns.len();
        let types = columns.iter().zip(first..).map(|((_, kind), number)| format!("${number}::{kind}[]"));
        let types = types.collect::<Vec<_>>().join(", ");
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        // The limit keeps every row. It is there for the planner: it takes an unknown limit for a
        // tenth of the rows, so that the generic plan, made while the tables are small and kept
        // while they grow, looks each row up in the primary key and never scans the table.
        format!("(select * from unnest({types}) limit cardinality(${first})) as rows ({names})")
    };
    // The status to compare with comes from a row and is no constant: with a constant the planner
    // may take the index of PENDING workflows, which looks cheap on a fresh table, and read all that
    // the executor has in flight for every flush.
    let mut text = format!(
        "with fence as materialized {FENCE}, clock as materialized (select now, 'PENDING' as pending from {CLOCK} c)"
    );
    if begins {
        let rows = arrays(&BEGIN_COLUMNS);
        let _ = write!(
            text,
            ", begun as (
                insert into durable.workflows
                    (key, id, name, instance, parent, version, fingerprint, input, timeout, deadline, status, executor, attempt,
                     created_at, started_at)
                select rows.*, 'PENDING', $1::bigint, 1, clock.now, clock.now
                  from {rows}, clock, fence
                on conflict (id) do nothing
                returning key)"
        );
    }
    if finishes {
        let rows = arrays(&FINISH_COLUMNS);
        let _ = write!(
            text,
            ", done as (
                update durable.workflows w
                   set status = rows.status, output = rows.output, error = rows.error, reason = rows.reason,
                       completed_at = case when rows.status = 'PARKED' then null else clock.now end
                  from {rows}, clock, fence
                 where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
                returning w.key)"
        );
    }
    if records {
        let rows = arrays(&RECORD_COLUMNS);
        let condition = if finishes { "where not rows.ends or rows.workflow in (select key from done)" } else { "" };
        let _ = write!(
            text,
            ", recorded as (
                insert into durable.steps
                    (workflow, branch, position, kind, name, child, attempts, started_at, completed_at, output, error, failures)
                select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts,
                       clock.now - rows.ran_for, clock.now, rows.output, rows.error, rows.failures
                  from {rows}, clock, fence
                {condition})"
        );
    }
    let keys = |part: bool, name: &str| {
        if part { format!("(select array_agg(key) from {name})") } else { "null::bigint[]".to_owned() }
    };
    let _ = write!(
        text,
        " select (select count(*) from fence) as held, {} as begun, {} as done",
        keys(begins, "begun"),
        keys(finishes, "done")
    );
    text
}

impl PostgresStore {
    pub(super) async fn batch(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        parts: &Parts<'_>,
        entries: &[Entry],
    ) -> Result<Judged, StoreError> {
        let query = bind(self.fenced(self.texts.batch.of(parts), fence), parts);
        let row = match query.fetch_one(&mut *lane).await {
            Err(error) if is_clash(&error) => return Ok(Judged::unclear(entries)),
            other => other?,
        };
        if row.try_get::<i64, _>("held")? == 0 {
            return Ok(Judged::all(&Verdict::Fenced, entries));
        }
        let begun: Option<Vec<i64>> = row.try_get("begun")?;
        let done: Option<Vec<i64>> = row.try_get("done")?;
        let (begun, done) = (begun.unwrap_or_default(), done.unwrap_or_default());
        // A record with an end is only there if an end is, so the others are enough to count.
        let records = parts.records.iter().filter(|it| !it.ends).count();
        self.meter.committed((begun.len() + done.len() + records) as u64);
        let lacking = parts.begins.len() - begun.len() + parts.finishes.len() - done.len();
        let mut judged = Judged { verdicts: all(&Verdict::Stored, entries.len()), unclear: Vec::new() };
        if lacking > 0 {
            self.judge(lane, fence, entries, &begun, &done, &mut judged).await?;
        }
        Ok(judged)
    }

    /// Finds out about the entries whose begin or end was not written.
    async fn judge(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        entries: &[Entry],
        begun: &[i64],
        done: &[i64],
        judged: &mut Judged,
    ) -> Result<(), StoreError> {
        let begun: HashSet<i64> = begun.iter().copied().collect();
        let done: HashSet<i64> = done.iter().copied().collect();
        let mut there = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.finish.as_ref().is_some_and(|it| !done.contains(&it.workflow)) {
                judged.unclear.push(index);
            } else if let Some(begin) = entry.begin.as_ref().filter(|it| !begun.contains(&it.key)) {
                there.push((index, &begin.id));
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        let found = self.existing(lane, fence, there.iter().map(|(_, id)| id.as_str()).collect()).await?;
        for (index, id) in there {
            match found.get(id) {
                Some((held, _)) => judged.verdicts[index] = Verdict::Existing(held.clone()),
                None => judged.unclear.push(index),
            }
        }
        Ok(())
    }
}

/// Binds the columns of all parts that are there, in the order of the text.
fn bind(mut query: PgQuery, parts: &Parts<'_>) -> PgQuery {
    /// One array of a column's values.
    macro_rules! column {
        ($rows:expr, $row:ident => $value:expr) => {
            $rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    let Parts { begins, records, finishes, .. } = parts;
    if !begins.is_empty() {
        query = query
            .bind(column!(begins, it => it.key))
            .bind(column!(begins, it => it.id.as_str()))
            .bind(column!(begins, it => it.name.as_str()))
            .bind(column!(begins, it => it.instance.as_deref()))
            .bind(column!(begins, it => it.parent))
            .bind(column!(begins, it => it.version.as_str()))
            .bind(column!(begins, it => it.fingerprint))
            .bind(column!(begins, it => it.input.as_str()))
            .bind(column!(begins, it => it.timeout.map(micros)))
            .bind(column!(begins, it => it.deadline));
    }
    if !finishes.is_empty() {
        query = query
            .bind(column!(finishes, it => it.workflow))
            .bind(column!(finishes, it => it.attempt))
            .bind(column!(finishes, it => it.status.as_str()))
            .bind(column!(finishes, it => output_of(it.outcome.as_ref())))
            .bind(column!(finishes, it => error_of(it.outcome.as_ref())))
            .bind(column!(finishes, it => it.reason.as_deref()));
    }
    if !records.is_empty() {
        query = query
            .bind(column!(records, it => it.ends))
            .bind(column!(records, it => it.record.workflow))
            .bind(column!(records, it => &*it.record.position.branch))
            .bind(column!(records, it => it.record.position.number))
            .bind(column!(records, it => it.record.kind))
            .bind(column!(records, it => it.record.name.as_str()))
            .bind(column!(records, it => it.record.child.as_deref()))
            .bind(column!(records, it => it.record.attempts))
            .bind(column!(records, it => micros(it.record.ran_for)))
            .bind(column!(records, it => output_of(it.record.outcome.as_ref())))
            .bind(column!(records, it => error_of(it.record.outcome.as_ref())))
            .bind(column!(records, it => it.record.failures.as_deref()));
    }
    query
}
