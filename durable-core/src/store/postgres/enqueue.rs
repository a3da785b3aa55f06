//! Workflows that go on a queue, one by one: alone, on the careful path, and on users' connections.

use std::collections::HashMap;

use sqlx::{PgConnection, Row};

use crate::store::decode::{ExistingRow, decode};
use crate::store::decode_queues::DuplicateRow;
use crate::store::enqueue_rows::{QueuedRow, StartedRow, nowhere, went_away};
use crate::store::postgres::commit::{JudgedEntry, bind_begin};
use crate::store::postgres::sql_text::{CLOCK, FENCE};
use crate::store::postgres::{PgQuery, PostgresStore};
use crate::store::rows_by_kind::later;
use crate::store::sql::texts;
use crate::store::store_error::is_clash;
use crate::store::{
    EnqueueOutcome, Entry, ExistingWorkflow, Fence, Hint, NewWorkflow, OutboxConnection, StoreError, StoreErrorKind,
    Verdict, hints,
};
use crate::types::time::micros;

texts! {
    /// $1, $2 fence; $3 to $17 the workflow and its place.
    enqueue = format!("{} on conflict do nothing", enqueueing(3, &format!("{FENCE} = 1")));
    /// The same, and $18, $19 the debounce. Gives the workflow that has the arguments now.
    debounce = debouncing(3, &format!("{FENCE} = 1"));
    /// $1 to $15 the workflow and its place; $16 the channel and $17 the notification, which goes out
    /// with the commit of the transaction that this is in.
    post = format!(
        "with stored as ({} on conflict do nothing returning 1)
         select max(pg_notify($16::text, $17::text)::text) as told, count(*) > 0 as stored from stored",
        enqueueing(1, "true")
    );
    /// $1 to $17 as in `debounce`; $18 the channel and $19 the notification.
    post_debounced = format!(
        "with stored as ({})
         select s.key, s.id, s.name, s.instance, s.status, pg_notify($18::text, $19::text)::text as told from stored s",
        debouncing(1, "true")
    );
    /// Who has these deduplication ids. $1, $2 fence; $3 queues; $4 ids. The limit keeps every row;
    /// it is there for the planner, see `batch`.
    duplicates = format!(
        "select wanted.queue, wanted.deduplication_id, w.key, w.id, w.name, w.instance, w.status
           from (select * from unnest($3::text[], $4::text[]) limit cardinality($3::text[]))
                as wanted (queue, deduplication_id)
          cross join lateral ({}) w
          where exists (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint)",
        duplicate("wanted.queue", "wanted.deduplication_id")
    );
    /// $1 queue; $2 deduplication id.
    duplicate = duplicate("$1::text", "$2::text");
}

/// The columns of a workflow that goes on a queue, as they are bound.
pub(super) const COLUMNS: [(&str, &str); 15] = [
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
    ("queue", "text"),
    ("priority", "integer"),
    ("partition_key", "text"),
    ("deduplication_id", "text"),
    ("delay", "bigint"),
];

/// The names of all columns but the last, which becomes a status and a time.
pub(super) const NAMES: &str = "key, id, name, instance, parent, version, fingerprint, input, timeout, deadline, queue, \
     priority, partition_key, deduplication_id";

/// Writes a workflow whose first parameter is `$first`.
fn enqueueing(first: usize, condition: &str) -> String {
    let values = COLUMNS[..14].iter().zip(first..).map(|((_, kind), number)| format!("${number}::{kind}"));
    let values = values.collect::<Vec<_>>().join(", ");
    let delay = format!("${}::bigint", first + 14);
    format!(
        "insert into durable.workflows ({NAMES}, status, due_at, attempt, created_at)
         select {values}, case when {delay} is null then 'ENQUEUED' else 'DELAYED' end, {}, 0, c.now
           from {CLOCK} c where {condition}",
        later("c.now", &delay)
    )
}

/// Writes a workflow, or gives its arguments, its priority and its time limits to the one that waits
/// under its debounce key. What would
/// be in the way of that is looked for first: an error would leave a user's transaction in ruins.
fn debouncing(first: usize, condition: &str) -> String {
    let values = COLUMNS[..14].iter().zip(first..).map(|((_, kind), number)| format!("${number}::{kind}"));
    let values = values.collect::<Vec<_>>().join(", ");
    let [id, name, instance, queue, twin, period, key, longest] =
        [1, 2, 3, 10, 13, 14, 15, 16].map(|behind| format!("${}", first + behind));
    let twin = duplicate(&format!("{queue}::text"), &format!("{twin}::text"));
    let (period, longest) = (format!("{period}::bigint"), format!("{longest}::bigint"));
    let (due, until) = (later("c.now", &period), later("c.now", &longest));
    let due_now = later("excluded.created_at", &period);
    format!(
        "insert into durable.workflows as w
            ({NAMES}, status, due_at, debounce_key, debounce_until, attempt, created_at)
         select {values}, 'DELAYED', least({due}, {until}), {key}::text, {until}, 0, c.now
           from {CLOCK} c
          where {condition} and not exists (select 1 from durable.workflows i where i.id = {id}::text)
            and not exists ({twin} and (d.name, d.instance, d.debounce_key, d.status)
                                        is distinct from ({name}::text, {instance}::text, {key}::text, 'DELAYED'))
         on conflict (name, coalesce(instance, ''), debounce_key) where debounce_key is not null and status = 'DELAYED'
         do update set input = excluded.input, encoding = excluded.encoding, priority = excluded.priority,
                       timeout = excluded.timeout, deadline = excluded.deadline,
                       due_at = least({due_now}, w.debounce_until)
         returning w.key, w.id, w.name, w.instance, w.status"
    )
}

/// The one that has a deduplication id on a queue.
fn duplicate(queue: &str, id: &str) -> String {
    format!(
        "select d.key, d.id, d.name, d.instance, d.status from durable.workflows d
          where d.queue = {queue} and d.deduplication_id = {id} and d.deduplication_id is not null
            and d.status in ('ENQUEUED', 'DELAYED', 'PENDING')"
    )
}

fn bind_queued(query: PgQuery, it: QueuedRow<'_>) -> PgQuery {
    let query = bind_begin(query, it.row).bind(&it.place.queue).bind(it.place.priority).bind(it.partition());
    query.bind(&it.place.deduplication_id).bind(it.delay())
}

/// Binds the debounce behind the rest.
fn bind_debounced(query: PgQuery, it: QueuedRow<'_>) -> PgQuery {
    let debounce = it.debounce();
    let query = bind_queued(query, it).bind(debounce.map(|it| it.key.as_str()));
    query.bind(debounce.and_then(|it| it.longest).map(micros))
}

impl PostgresStore {
    /// One workflow that goes on a queue and nothing else.
    pub(super) async fn lone_queued(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        it: QueuedRow<'_>,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        if it.debounce().is_some() {
            let query = bind_debounced(self.fenced(&self.texts.enqueue.debounce, fence), it);
            let row = match query.fetch_optional(lane).await {
                Err(error) if is_clash(&error) => None,
                row => row?,
            };
            // What is in the way, or the fence, is for the careful path to look at.
            let Some(row) = row else { return Ok(JudgedEntry::unclear(entries)) };
            self.meter.committed(1);
            let held: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
            let verdict = if held.key == it.row.key { Verdict::Stored } else { Verdict::Debounced(held) };
            return Ok(JudgedEntry::all(&verdict, entries));
        }
        let query = bind_queued(self.fenced(&self.texts.enqueue.enqueue, fence), it);
        if self.write(&mut *lane, query).await? > 0 {
            return Ok(JudgedEntry::all(&Verdict::Stored, entries));
        }
        let found = self.existing(lane, fence, vec![it.row.id.as_str()]).await?;
        if let Some((held, ours)) = found.into_values().next() {
            let verdict = if ours { Verdict::Existing(held) } else { Verdict::Fenced };
            return Ok(JudgedEntry::all(&verdict, entries));
        }
        let found = self.duplicates(lane, fence, &[it]).await?;
        Ok(match found.into_values().next() {
            Some(held) => JudgedEntry::all(&Verdict::Duplicate(held), entries),
            None => JudgedEntry::unclear(entries),
        })
    }

    /// Who has the deduplication ids of these, by queue and id; nothing if the fence no longer holds.
    pub(super) async fn duplicates(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        of: &[QueuedRow<'_>],
    ) -> Result<HashMap<(String, String), ExistingWorkflow>, StoreError> {
        let of = || of.iter().filter_map(|it| Some((it.place.queue.as_str(), it.place.deduplication_id.as_deref()?)));
        let (queues, ids): (Vec<&str>, Vec<&str>) = of().unzip();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let query = self.fenced(&self.texts.enqueue.duplicates, fence).bind(queues).bind(ids);
        query.fetch_all(lane).await?.iter().map(decode::<_, DuplicateRow, _>).collect()
    }

    /// Puts a workflow on its queue, or gives who is in its way.
    pub(super) async fn enqueue_or_find(
        &self,
        transaction: &mut PgConnection,
        fence: Fence,
        it: QueuedRow<'_>,
        written: &mut u64,
    ) -> Result<StartedRow, StoreError> {
        if it.debounce().is_some() {
            let query = bind_debounced(self.fenced(&self.texts.enqueue.debounce, fence), it);
            if let Some(row) = query.fetch_optional(&mut *transaction).await.map_err(contended)? {
                *written += 1;
                let held: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
                return Ok(if held.key == it.row.key { StartedRow::Stored } else { StartedRow::Debounced(held) });
            }
        } else {
            let query = bind_queued(self.fenced(&self.texts.enqueue.enqueue, fence), it);
            let rows = query.execute(&mut *transaction).await?.rows_affected();
            *written += rows;
            if rows > 0 {
                return Ok(StartedRow::Stored);
            }
        }
        if let Some(found) = self.in_the_way(transaction, it).await? {
            return Ok(found);
        }
        Err(went_away()) // trying again starts this one
    }

    /// The workflow that has the id, or the deduplication id.
    async fn in_the_way(
        &self,
        connection: &mut PgConnection,
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
        let OutboxConnection::Postgres(connection) = connection else { return Ok(EnqueueOutcome::OtherDatabase) };
        let Some(it) = QueuedRow::of(workflow) else { return Err(nowhere()) };
        let hint = hints::text(hints::NOBODY, &[Hint::for_queue(&it.place.queue)]);
        if it.debounce().is_some() {
            let query = bind_debounced(self.query(&self.texts.enqueue.post_debounced), it);
            let row = query.bind(&*self.channel).bind(hint).fetch_optional(&mut *connection).await;
            if let Some(row) = row.map_err(|error| self.explained(error))? {
                let held: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
                let own = held.key == workflow.key;
                return Ok(if own { EnqueueOutcome::Posted } else { EnqueueOutcome::Existing(held) });
            }
        } else {
            let query = bind_queued(self.query(&self.texts.enqueue.post), it);
            let row = query.bind(&*self.channel).bind(hint).fetch_one(&mut *connection).await;
            if row.map_err(|error| self.explained(error))?.try_get("stored")? {
                return Ok(EnqueueOutcome::Posted);
            }
        }
        match self.in_the_way(connection, it).await? {
            Some(StartedRow::Stored) => Ok(EnqueueOutcome::Posted),
            Some(StartedRow::Existing(held) | StartedRow::Duplicate(held) | StartedRow::Debounced(held)) => {
                Ok(EnqueueOutcome::Existing(held))
            }
            None => Err(went_away()),
        }
    }
}

/// Another one took the id between the look and the statement: trying again finds it.
fn contended(error: sqlx::Error) -> StoreError {
    if is_clash(&error) { StoreError::new(StoreErrorKind::Contended, error) } else { error.into() }
}
