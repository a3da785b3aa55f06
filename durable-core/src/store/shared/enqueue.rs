//! Enqueues workflows one by one: alone, and in a commit row by row.

use std::collections::HashMap;

use super::SqlStore;
use super::dialect::{
    Connection, FENCE_HOLDS, FENCE_SEEN, FROM_CLOCK, LEAST, Query, bind_row, bind_rows, now, parameters, rows_table,
};
use crate::store::columns::{Column, ExistingRow, PLACEMENT, START, names, select};
use crate::store::decode::decode;
use crate::store::decode_queues::DuplicateRow;
use crate::store::enqueue_rows::{QueuedRow, StartedRow, disappeared};
use crate::store::rows_by_kind::add_saturating;
use crate::store::sql::sql_statements;
use crate::store::store_error::is_clash;
use crate::store::{ExistingWorkflow, Fence, StoreError, StoreErrorKind};
use crate::types::time::micros;

sql_statements! {
    /// $1, $2 fence; from $3 the workflow, its placement and its delay; then now.
    enqueue = format!("{} on conflict do nothing", enqueueing(3, FENCE_HOLDS, 0));
    /// The same with a debounce. Returns the workflow that has the arguments now.
    debounce = debouncing(3, FENCE_HOLDS, 0);
    /// The workflows that have these deduplication ids. $1, $2 fence; from $3 rows of a queue and an id.
    duplicates = format!(
        "select wanted.queue, wanted.deduplication_id, {}
           from {} cross join durable.workflows d
          where {} and {FENCE_SEEN}",
        select("d", ExistingRow::COLUMNS, &[]),
        rows_table(DEDUPLICATION, 3),
        has_deduplication_id("wanted.queue", "wanted.deduplication_id")
    );
    /// $1 queue; $2 deduplication id.
    duplicate = format!(
        "select {} from durable.workflows d where {}",
        select("d", ExistingRow::COLUMNS, &[]),
        has_deduplication_id("$1", "$2")
    );
}

/// A queue and a deduplication id.
const DEDUPLICATION: &[Column<(String, String)>] =
    &[Column::text("queue", |it| Some(&it.0)), Column::text("deduplication_id", |it| Some(&it.1))];

/// How many parameters [`bind_queued`] binds.
pub(super) const QUEUED_PARAMETERS: usize = START.len() + PLACEMENT.len() + 1;
/// How many parameters [`bind_debounced`] binds.
pub(super) const DEBOUNCED_PARAMETERS: usize = QUEUED_PARAMETERS + 2;

/// Writes a workflow. Its parameters begin at this number. There may be further parameters before the
/// time.
pub(super) fn enqueueing(first: usize, condition: &str, further: usize) -> String {
    let delay = format!("${}", first + QUEUED_PARAMETERS - 1);
    let now = now(first + QUEUED_PARAMETERS + further);
    format!(
        "insert into durable.workflows ({}, {}, status, due_at, attempt, created_at)
         select {}, {}, case when {delay} is null then 'ENQUEUED' else 'DELAYED' end, {}, 0, {now}
           {FROM_CLOCK} where {condition}",
        names(START),
        names(PLACEMENT),
        parameters(START, first),
        parameters(PLACEMENT, first + START.len()),
        add_saturating(&now, &delay)
    )
}

/// Writes a workflow, or copies its arguments, its priority and its time limits to the DELAYED one with
/// its debounce key. Conflicts are checked first, because in Postgres an error would end the user's
/// transaction.
pub(super) fn debouncing(first: usize, condition: &str, further: usize) -> String {
    let number_of = |name: &str| first + START.iter().chain(PLACEMENT).take_while(|it| it.name != name).count();
    let [id, name, instance, queue, deduplication_id] =
        ["id", "name", "instance", "queue", "deduplication_id"].map(|name| format!("${}", number_of(name)));
    let [period, key, longest] = [1, 2, 3].map(|behind| format!("${}", first + QUEUED_PARAMETERS - 2 + behind));
    let now = now(first + DEBOUNCED_PARAMETERS + further);
    let (due, until) = (add_saturating(&now, &period), add_saturating(&now, &longest));
    let due_again = add_saturating("excluded.created_at", &period);
    format!(
        "insert into durable.workflows as w
            ({}, {}, status, due_at, debounce_key, debounce_until, attempt, created_at)
         select {}, {}, 'DELAYED', {LEAST}({due}, coalesce({until}, {due})), {key}, {until}, 0, {now}
           {FROM_CLOCK}
          where {condition} and not exists (select 1 from durable.workflows i where i.id = {id})
            and not exists (
                select 1 from durable.workflows d
                 where {} and (d.name, d.instance, d.debounce_key, d.status)
                              is distinct from ({name}, {instance}, {key}, 'DELAYED'))
         on conflict (name, coalesce(instance, ''), debounce_key) where debounce_key is not null and status = 'DELAYED'
         do update set input = excluded.input, encoding = excluded.encoding, priority = excluded.priority,
                       timeout = excluded.timeout, deadline = excluded.deadline,
                       due_at = {LEAST}({due_again}, coalesce(w.debounce_until, {due_again}))
         returning {}",
        names(START),
        names(PLACEMENT),
        parameters(START, first),
        parameters(PLACEMENT, first + START.len()),
        has_deduplication_id(&queue, &deduplication_id),
        ExistingRow::COLUMNS.join(", ")
    )
}

/// A condition: the workflow `d` has this deduplication id on this queue.
fn has_deduplication_id(queue: &str, id: &str) -> String {
    format!(
        "d.queue = {queue} and d.deduplication_id = {id} and d.deduplication_id is not null
            and d.status in ('ENQUEUED', 'DELAYED', 'PENDING')"
    )
}

/// Binds the workflow, its placement and its delay.
pub(super) fn bind_queued(query: Query, it: QueuedRow<'_>) -> Query {
    bind_row(bind_row(query, START, it.row), PLACEMENT, it.row).bind(it.delay())
}

/// Binds the debounce behind the rest.
pub(super) fn bind_debounced(query: Query, it: QueuedRow<'_>) -> Query {
    let debounce = it.debounce();
    let query = bind_queued(query, it).bind(debounce.map(|it| it.key.as_str()));
    query.bind(debounce.and_then(|it| it.longest).map(micros))
}

impl SqlStore {
    pub(super) fn enqueue_statement(&self, fence: Fence, it: QueuedRow<'_>) -> Query {
        self.bind_now(bind_queued(self.fenced(&self.sql.enqueue.enqueue, fence), it))
    }

    pub(super) fn debounce_statement(&self, fence: Fence, it: QueuedRow<'_>) -> Query {
        self.bind_now(bind_debounced(self.fenced(&self.sql.enqueue.debounce, fence), it))
    }

    /// The workflows that have the deduplication ids of these, by queue and id; none if the fence no
    /// longer holds.
    pub(super) async fn duplicates(
        &self,
        connection: &mut Connection,
        fence: Fence,
        of: &[QueuedRow<'_>],
    ) -> Result<HashMap<(String, String), ExistingWorkflow>, StoreError> {
        let wanted = |it: &QueuedRow<'_>| Some((it.placement.queue.clone(), it.placement.deduplication_id.clone()?));
        let wanted: Vec<(String, String)> = of.iter().filter_map(wanted).collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let query = bind_rows(self.fenced(&self.sql.enqueue.duplicates, fence), DEDUPLICATION, wanted.iter());
        query.fetch_all(connection).await?.iter().map(decode::<_, DuplicateRow, _>).collect()
    }

    /// Enqueues a workflow, or returns the existing one that prevents it.
    pub(super) async fn enqueue_or_find(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        it: QueuedRow<'_>,
        written: &mut u64,
    ) -> Result<StartedRow, StoreError> {
        if it.debounce().is_some() {
            let query = self.debounce_statement(fence, it);
            if let Some(started) = self.debounced(transaction, query, it).await? {
                *written += 1;
                return Ok(started);
            }
        } else {
            let query = self.enqueue_statement(fence, it);
            if query.execute(&mut *transaction).await?.rows_affected() > 0 {
                *written += 1;
                self.store_large_input(transaction, it.row).await?;
                return Ok(StartedRow::Stored);
            }
        }
        // If it is gone, trying again starts this one.
        self.find_conflict(transaction, it).await?.ok_or_else(disappeared)
    }

    /// Sends a debounced start; `None` if another workflow prevents it.
    pub(super) async fn debounced(
        &self,
        connection: &mut Connection,
        query: Query,
        it: QueuedRow<'_>,
    ) -> Result<Option<StartedRow>, StoreError> {
        let Some(row) = query.fetch_optional(&mut *connection).await.map_err(contended)? else { return Ok(None) };
        let existing: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
        self.replace_large_input(connection, existing.key, it.row).await?;
        Ok(Some(if existing.key == it.row.key { StartedRow::Stored } else { StartedRow::Debounced(existing) }))
    }

    /// The existing workflow that has the id, or the deduplication id.
    pub(super) async fn find_conflict(
        &self,
        connection: &mut Connection,
        it: QueuedRow<'_>,
    ) -> Result<Option<StartedRow>, StoreError> {
        if let Some(existing) = self.find_on(&mut *connection, &it.row.id).await? {
            let own = existing.key == it.row.key;
            return Ok(Some(if own { StartedRow::Stored } else { StartedRow::Existing(existing) }));
        }
        let Some(id) = &it.placement.deduplication_id else { return Ok(None) };
        let query = self.query(&self.sql.enqueue.duplicate).bind(&it.placement.queue).bind(id);
        let row = query.fetch_optional(connection).await?;
        Ok(row.map(|row| decode::<_, ExistingRow, _>(&row)).transpose()?.map(StartedRow::Duplicate))
    }
}

/// Another workflow took the id between the lookup and the statement: trying again finds it.
fn contended(error: sqlx::Error) -> StoreError {
    if is_clash(&error) { StoreError::new(StoreErrorKind::Contended, error) } else { error.into() }
}
