//! Workflows that go on a queue, one by one: alone, on the careful path, and on users' connections.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::store::decode::{ExistingRow, decode};
use crate::store::decode_queues::DuplicateRow;
use crate::store::enqueue_rows::{QueuedRow, StartedRow, nowhere, went_away};
use crate::store::rows_by_kind::{all, later};
use crate::store::sql::texts;
use crate::store::sqlite::commit::{FENCE, bind_begin, is_large, refuse_nul_in_workflow};
use crate::store::sqlite::read::json;
use crate::store::sqlite::{LiteQuery, SqliteStore};
use crate::store::{
    EnqueueOutcome, Entry, ExistingWorkflow, Fence, NewWorkflow, OutboxConnection, StoreError, Verdict,
};
use crate::types::id::local_micros;
use crate::types::time::micros;

texts! {
    /// ?1, ?2 fence; ?3 now; ?4 to ?18 the workflow and its place.
    enqueue = format!("{} where {FENCE} on conflict do nothing", enqueueing("?3", 4));
    /// The same, and ?19, ?20 the debounce. Gives the workflow that has the arguments now.
    debounce = debouncing("?3", 4, FENCE);
    /// ?1 now; ?2 to ?16 the workflow and its place.
    post = format!("{} where true on conflict do nothing", enqueueing("?1", 2));
    /// ?1 now; ?2 to ?18 as in `debounce`.
    post_debounced = debouncing("?1", 2, "true");
    /// Who has these deduplication ids. ?1, ?2 fence; ?3 pairs of a queue and an id.
    duplicates = format!(
        "select queue, deduplication_id, key, id, name, instance, status from durable_workflows
          where deduplication_id is not null and status in ('ENQUEUED', 'DELAYED', 'PENDING')
            and (queue, deduplication_id) in (select value ->> 0, value ->> 1 from json_each(?3)) and {FENCE}"
    );
    /// ?1 queue; ?2 deduplication id.
    duplicate =
        "select key, id, name, instance, status from durable_workflows
          where queue = ?1 and deduplication_id = ?2 and deduplication_id is not null
            and status in ('ENQUEUED', 'DELAYED', 'PENDING')";
    /// ?1 key; ?2 input.
    other_input =
        "insert into durable_inputs (workflow, input) values (?1, ?2)
         on conflict (workflow) do update set input = excluded.input";
    /// ?1 key.
    no_input = "delete from durable_inputs where workflow = ?1";
}

/// The columns of a workflow that goes on a queue, as they are bound; behind them its delay.
pub(super) const NAMES: &str = "key, id, name, instance, parent, version, fingerprint, timeout, deadline, input, queue, \
     priority, partition_key, deduplication_id";
/// How many those are, with the delay.
pub(super) const COLUMNS: usize = 15;

/// Writes a workflow whose first parameter is `?first`.
fn enqueueing(now: &str, first: usize) -> String {
    let values = (first..first + 14).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ");
    let delay = format!("?{}", first + 14);
    format!(
        "insert into durable_workflows ({NAMES}, status, due_at, attempt, created_at)
         select {values}, case when {delay} is null then 'ENQUEUED' else 'DELAYED' end, {}, 0, {now}",
        later(now, &delay)
    )
}

/// Writes a workflow, or gives its arguments, its priority and its time limits to the one that waits
/// under its debounce key. What would
/// be in the way of that is looked for first.
fn debouncing(now: &str, first: usize, condition: &str) -> String {
    let values = (first..first + 14).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ");
    let [id, name, instance, queue, twin, period, key, longest] =
        [1, 2, 3, 10, 13, 14, 15, 16].map(|behind| format!("?{}", first + behind));
    let (due, until) = (later(now, &period), later(now, &longest));
    format!(
        "insert into durable_workflows
            ({NAMES}, status, due_at, debounce_key, debounce_until, attempt, created_at)
         select {values}, 'DELAYED', min({due}, coalesce({until}, {due})), {key}, {until}, 0, {now}
          where {condition} and not exists (select 1 from durable_workflows i where i.id = {id})
            and not exists (
                select 1 from durable_workflows d
                 where d.queue = {queue} and d.deduplication_id = {twin} and d.deduplication_id is not null
                   and d.status in ('ENQUEUED', 'DELAYED', 'PENDING')
                   and (d.name, d.instance, d.debounce_key, d.status) is not ({name}, {instance}, {key}, 'DELAYED'))
         on conflict (name, coalesce(instance, ''), debounce_key) where debounce_key is not null and status = 'DELAYED'
         do update set input = excluded.input, encoding = excluded.encoding, priority = excluded.priority,
                       timeout = excluded.timeout, deadline = excluded.deadline,
                       due_at = min({due}, coalesce(debounce_until, {due}))
         returning key, id, name, instance, status"
    )
}

/// Binds the workflow and its place, in the order of [`NAMES`].
pub(super) fn bind_queued(query: LiteQuery, it: QueuedRow<'_>) -> LiteQuery {
    let query = bind_begin(query, it.row).bind(&it.place.queue).bind(it.place.priority).bind(it.partition());
    query.bind(&it.place.deduplication_id).bind(it.delay())
}

/// Binds the debounce behind the rest.
fn bind_debounced(query: LiteQuery, it: QueuedRow<'_>) -> LiteQuery {
    let debounce = it.debounce();
    let query = bind_queued(query, it).bind(debounce.map(|it| it.key.as_str()));
    query.bind(debounce.and_then(|it| it.longest).map(micros))
}

impl SqliteStore {
    /// One workflow that goes on a queue and nothing else, or `None` for the careful path.
    pub(super) async fn lone_queued(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        it: QueuedRow<'_>,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        let query = bind_queued(self.timed(&self.texts.enqueue.enqueue, fence), it);
        if self.write(connection, query).await? > 0 {
            return Ok(Some(all(&Verdict::Stored, entries.len())));
        }
        let found = self.existing(connection, fence, &[&it.row.id]).await?;
        let found = match found.into_values().next() {
            Some((held, true)) => Some(Verdict::Existing(held)),
            Some((_, false)) => Some(Verdict::Fenced),
            None => self.duplicates(connection, fence, &[it]).await?.into_values().next().map(Verdict::Duplicate),
        };
        Ok(found.map(|verdict| all(&verdict, entries.len())))
    }

    /// Who has the deduplication ids of these, by queue and id; nothing if the fence no longer holds.
    pub(super) async fn duplicates(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        of: &[QueuedRow<'_>],
    ) -> Result<HashMap<(String, String), ExistingWorkflow>, StoreError> {
        let pairs: Vec<(&str, &str)> =
            of.iter().filter_map(|it| Some((it.place.queue.as_str(), it.place.deduplication_id.as_deref()?))).collect();
        if pairs.is_empty() {
            return Ok(HashMap::new());
        }
        let query = self.fenced(&self.texts.enqueue.duplicates, fence).bind(json(&pairs));
        query.fetch_all(connection).await?.iter().map(decode::<_, DuplicateRow, _>).collect()
    }

    /// Puts a workflow on its queue, or gives who is in its way.
    pub(super) async fn enqueue_or_find(
        &self,
        transaction: &mut SqliteConnection,
        fence: Fence,
        it: QueuedRow<'_>,
        written: &mut u64,
    ) -> Result<StartedRow, StoreError> {
        if it.debounce().is_some() {
            let query = bind_debounced(self.timed(&self.texts.enqueue.debounce, fence), it);
            if let Some(begun) = self.debounced(transaction, query, it).await? {
                *written += 1;
                return Ok(begun);
            }
        } else {
            let query = bind_queued(self.timed(&self.texts.enqueue.enqueue, fence), it);
            if query.execute(&mut *transaction).await?.rows_affected() > 0 {
                *written += 1;
                if is_large(it.row) {
                    self.input_statement(it.row).execute(&mut *transaction).await?;
                }
                return Ok(StartedRow::Stored);
            }
        }
        self.in_the_way(transaction, it).await?.ok_or_else(went_away)
    }

    /// Sends a debounced begin, and keeps the row of its input in step.
    async fn debounced(
        &self,
        connection: &mut SqliteConnection,
        query: LiteQuery,
        it: QueuedRow<'_>,
    ) -> Result<Option<StartedRow>, StoreError> {
        let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
        let held: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
        let texts = &self.texts.enqueue;
        let input = if is_large(it.row) {
            self.query(&texts.other_input).bind(held.key).bind(&it.row.input)
        } else {
            self.query(&texts.no_input).bind(held.key)
        };
        input.execute(connection).await?;
        Ok(Some(if held.key == it.row.key { StartedRow::Stored } else { StartedRow::Debounced(held) }))
    }

    /// The workflow that has the id, or the deduplication id.
    async fn in_the_way(
        &self,
        connection: &mut SqliteConnection,
        it: QueuedRow<'_>,
    ) -> Result<Option<StartedRow>, StoreError> {
        let row = self.query(&self.texts.read.find).bind(&it.row.id).fetch_optional(&mut *connection).await?;
        if let Some(row) = row {
            let held: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
            return Ok(Some(if held.key == it.row.key { StartedRow::Stored } else { StartedRow::Existing(held) }));
        }
        let Some(id) = &it.place.deduplication_id else { return Ok(None) };
        let query = self.query(&self.texts.enqueue.duplicate).bind(&it.place.queue).bind(id);
        let row = query.fetch_optional(connection).await?;
        Ok(row.map(|row| decode::<_, ExistingRow, _>(&row)).transpose()?.map(StartedRow::Duplicate))
    }

    /// Puts a workflow on its queue within the user's transaction.
    pub(super) async fn post_on_queue(
        &self,
        connection: OutboxConnection<'_>,
        workflow: &NewWorkflow,
    ) -> Result<EnqueueOutcome, StoreError> {
        #[allow(irrefutable_let_patterns, reason = "there are other kinds where their stores are compiled in")]
        let OutboxConnection::Sqlite(connection) = connection else { return Ok(EnqueueOutcome::OtherDatabase) };
        let Some(it) = QueuedRow::of(workflow) else { return Err(nowhere()) };
        refuse_nul_in_workflow(workflow)?;
        let posted = async {
            // Where the user is in no transaction, the few statements are one all the same.
            self.query(&self.texts.careful.savepoint).execute(&mut *connection).await?;
            let posted = self.post_between(connection, it).await;
            let texts = &self.texts.careful;
            if posted.is_err() {
                self.query(&texts.undo).execute(&mut *connection).await?;
            }
            self.query(&texts.release).execute(&mut *connection).await?;
            posted
        };
        Ok(match posted.await.map_err(|error| self.explained(error))? {
            StartedRow::Stored => EnqueueOutcome::Posted,
            StartedRow::Existing(held) | StartedRow::Duplicate(held) | StartedRow::Debounced(held) => {
                EnqueueOutcome::Existing(held)
            }
        })
    }

    async fn post_between(
        &self,
        connection: &mut SqliteConnection,
        it: QueuedRow<'_>,
    ) -> Result<StartedRow, StoreError> {
        if it.debounce().is_some() {
            let query = bind_debounced(self.query(&self.texts.enqueue.post_debounced).bind(local_micros()), it);
            if let Some(begun) = self.debounced(connection, query, it).await? {
                return Ok(begun);
            }
        } else {
            let query = bind_queued(self.query(&self.texts.enqueue.post).bind(local_micros()), it);
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                if is_large(it.row) {
                    self.input_statement(it.row).execute(&mut *connection).await?;
                }
                return Ok(StartedRow::Stored);
            }
        }
        self.in_the_way(connection, it).await?.ok_or_else(went_away)
    }
}
