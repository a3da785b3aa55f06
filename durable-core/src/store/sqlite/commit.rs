//! The fast path: a lone row as one statement that commits by itself, everything else as one
//! transaction with few statements.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{Row, SqliteConnection};

use crate::store::batch_clock::BatchClock;
use crate::store::decode::{ExistingRow, decode};
use crate::store::enqueue_rows::hangs_on_its_begin;
use crate::store::rows_by_kind::{BatchRows, all, error_of, output_of};
use crate::store::sql::texts;
use crate::store::sqlite::messages::bind_message;
use crate::store::sqlite::{LiteQuery, SqliteStore};
use crate::store::store_error::is_clash;
use crate::store::{
    Commit, Entry, ExistingWorkflow, Fence, Finish, NewMessage, NewRecord, NewWorkflow, Publication, StoreError,
    StoreErrorKind, StoreFuture, Verdict,
};
use crate::types::id::local_micros;
use crate::types::time::micros;

/// Holds while the executor ?1 has the epoch ?2.
pub(super) const FENCE: &str = "exists (select 1 from durable_executors where key = ?1 and epoch = ?2)";

/// Inputs above this size have a row of their own: SQLite rewrites a whole row to change its status.
const LARGE_INPUT: usize = 1024;

texts! {
    /// ?1, ?2 fence; ?3 now; ?4 to ?13 the workflow.
    begin = format!(
        "insert into durable_workflows
            (key, id, name, instance, parent, version, fingerprint, timeout, deadline, input, status, executor, attempt,
             created_at, started_at)
         select ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 'PENDING', ?1, 1, ?3, ?3 where {FENCE}
         on conflict (id) do nothing"
    );
    /// ?1 key, ?2 input.
    input = "insert into durable_inputs (workflow, input) values (?1, ?2)";
    /// ?1, ?2 fence; ?3 now; ?4 to ?14 the record. A record in the way is a unique violation.
    record = format!(
        "insert into durable_steps
            (workflow, branch, position, kind, name, child, attempts, started_at, completed_at, output, error, failures)
         select ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?3 - ?11, ?3, ?12, ?13, ?14 where {FENCE}"
    );
    /// ?1, ?2 fence; ?3 now; ?4 to ?9 the end.
    finish = format!(
        "update durable_workflows
            set status = ?6, output = ?7, error = ?8, reason = ?9,
                completed_at = case when ?6 = 'PARKED' then null else ?3 end
          where key = ?4 and attempt = ?5 and status = 'PENDING' and executor = ?1 and {FENCE}"
    );
    fence = format!("select 1 where {FENCE}");
    /// Workflows by id, and whether the fence holds. ?1, ?2 fence; ?3 ids.
    existing = format!(
        "select key, id, name, instance, status, {FENCE} as ours from durable_workflows
          where id in (select value from json_each(?3))"
    );
}

impl Commit for SqliteStore {
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>> {
        Box::pin(async move {
            refuse_nul(entries)?;
            let mut turn = self.work().await?;
            let verdicts = if again { None } else { self.at_once(&mut turn, fence, entries).await? };
            match verdicts {
                Some(verdicts) => Ok(verdicts),
                None => self.one_by_one(&mut turn, fence, entries, again).await,
            }
        })
    }
}

impl SqliteStore {
    /// Commits all entries together, or gives `None` and has stored nothing that the careful path
    /// would not recognize: some row was in the way.
    async fn at_once(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        if entries.iter().any(hangs_on_its_begin) {
            return Ok(None);
        }
        let parts = BatchRows::of(entries);
        if let [queued] = parts.queued[..]
            && !is_large(queued.row)
            && entries.iter().map(Entry::rows).sum::<usize>() == 1
        {
            return self.lone_queued(connection, fence, queued, entries).await;
        }
        if parts.talks() {
            return match entries.iter().map(Entry::rows).sum() {
                1 => self.lone_word(connection, fence, &parts, entries).await,
                _ => self.batch(connection, fence, &parts, entries).await,
            };
        }
        let sent = match (&parts.begins[..], &parts.records[..], &parts.finishes[..]) {
            _ if !parts.queued.is_empty() => return self.batch(connection, fence, &parts, entries).await,
            ([], [], []) => return Ok(Some(all(&Verdict::Stored, entries.len()))),
            ([begin], [], []) if !is_large(begin) => return self.lone_begin(connection, fence, begin, entries).await,
            ([], [record], []) => {
                let query = bind_record(self.timed(&self.texts.commit.record, fence), record.record);
                self.write(connection, query).await.map(|rows| {
                    let verdict = if rows == 0 { Verdict::Fenced } else { Verdict::Stored };
                    Some(all(&verdict, entries.len()))
                })
            }
            ([], [], [finish]) => {
                let query = bind_finish(self.timed(&self.texts.commit.finish, fence), finish);
                let rows = self.write(connection, query).await;
                rows.map(|rows| (rows > 0).then(|| all(&Verdict::Stored, entries.len())))
            }
            _ => return self.batch(connection, fence, &parts, entries).await,
        };
        match sent {
            Err(error) if is_clash(&error) => Ok(None),
            other => Ok(other?),
        }
    }

    async fn lone_begin(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        begin: &NewWorkflow,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        if self.write(connection, self.begin_statement(fence, begin)).await? > 0 {
            return Ok(Some(all(&Verdict::Stored, entries.len())));
        }
        let found = self.existing(connection, fence, &[&begin.id]).await?;
        Ok(found.into_values().next().map(|(held, ours)| {
            let verdict = if ours { Verdict::Existing(held) } else { Verdict::Fenced };
            all(&verdict, entries.len())
        }))
    }

    /// Stores a lone message or emission; why a message was not stored is for the careful path.
    async fn lone_word(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        parts: &BatchRows<'_>,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        let mut moment = BatchClock::new(false);
        let query = match (&parts.messages[..], &parts.events[..], &parts.items[..]) {
            ([message], ..) => bind_message(self.timed(&self.texts.mail.send, fence), message.row),
            (_, [it], _) | (_, _, [it]) => self.emission_statement(fence, &mut moment, it.row),
            _ => return Ok(None), // a message was received and nothing recorded of it
        };
        let rows = self.write(connection, query).await?;
        Ok((rows > 0).then(|| all(&Verdict::Stored, entries.len())))
    }

    /// The workflows of these ids, each with whether the fence holds.
    pub(super) async fn existing(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        ids: &[&str],
    ) -> Result<HashMap<String, (ExistingWorkflow, bool)>, StoreError> {
        let query = self.fenced(&self.texts.commit.existing, fence).bind(crate::store::sqlite::read::json(ids));
        let rows = query.fetch_all(connection).await?;
        rows.iter()
            .map(|row| {
                let held: ExistingWorkflow = decode::<_, ExistingRow, _>(row)?;
                Ok((held.id.clone(), (held, row.try_get("ours")?)))
            })
            .collect()
    }

    /// A statement whose first two parameters are the fence.
    pub(super) fn fenced(&self, text: &Arc<str>, fence: Fence) -> LiteQuery {
        self.query(text).bind(fence.executor).bind(fence.epoch)
    }

    /// A statement whose first three parameters are the fence and the time.
    pub(super) fn timed(&self, text: &Arc<str>, fence: Fence) -> LiteQuery {
        self.fenced(text, fence).bind(local_micros())
    }

    pub(super) fn begin_statement(&self, fence: Fence, it: &NewWorkflow) -> LiteQuery {
        bind_begin(self.timed(&self.texts.commit.begin, fence), it)
    }

    pub(super) fn input_statement(&self, it: &NewWorkflow) -> LiteQuery {
        self.query(&self.texts.commit.input).bind(it.key).bind(&it.input)
    }
}

/// Whether the input has a row of its own.
pub(super) fn is_large(begin: &NewWorkflow) -> bool {
    begin.input.len() > LARGE_INPUT
}

pub(super) fn bind_begin(query: LiteQuery, it: &NewWorkflow) -> LiteQuery {
    let query = query.bind(it.key).bind(&it.id).bind(&it.name).bind(&it.instance);
    let query = query.bind(it.parent).bind(&it.version).bind(it.fingerprint);
    let query = query.bind(it.timeout.map(micros)).bind(it.deadline);
    query.bind((!is_large(it)).then_some(&it.input))
}

pub(super) fn bind_record(query: LiteQuery, it: &NewRecord) -> LiteQuery {
    let query = query.bind(it.workflow).bind(&*it.position.branch).bind(it.position.number);
    let query = query.bind(it.kind).bind(&it.name).bind(&it.child).bind(it.attempts).bind(micros(it.ran_for));
    query.bind(output_of(it.outcome.as_ref())).bind(error_of(it.outcome.as_ref())).bind(&it.failures)
}

pub(super) fn bind_finish(query: LiteQuery, it: &Finish) -> LiteQuery {
    let query = query.bind(it.workflow).bind(it.attempt).bind(it.status.as_str());
    query.bind(output_of(it.outcome.as_ref())).bind(error_of(it.outcome.as_ref())).bind(&it.reason)
}

/// Refuses a message as [`refuse_nul`] does.
pub(super) fn refuse_nul_in(message: &NewMessage) -> Result<(), StoreError> {
    let texts = [Some(&message.to), Some(&message.topic), Some(&message.payload), message.idempotency_key.as_ref()];
    if texts.into_iter().flatten().any(|it| has_nul(it)) { Err(nul()) } else { Ok(()) }
}

/// Refuses a workflow as [`refuse_nul`] does.
pub(super) fn refuse_nul_in_workflow(it: &NewWorkflow) -> Result<(), StoreError> {
    let own = [Some(&it.id), Some(&it.name), Some(&it.version), Some(&it.input), it.instance.as_ref()];
    let place = it.placement.as_ref().map(|it| {
        let debounce = it.debounce.as_ref().map(|it| &it.key);
        [Some(&it.queue), it.partition.as_ref(), it.deduplication_id.as_ref(), debounce]
    });
    let mut texts = own.into_iter().chain(place.into_iter().flatten()).flatten();
    if texts.any(|it| has_nul(it)) { Err(nul()) } else { Ok(()) }
}

/// Refuses what Postgres would refuse: SQLite would take a text with a NUL in it and cut it off in
/// some functions, and a program that moves to Postgres would find out too late.
fn refuse_nul(entries: &[Entry]) -> Result<(), StoreError> {
    let record = |it: &NewRecord| {
        let texts = [Some(&*it.position.branch), Some(it.kind), Some(it.name.as_str()), it.child.as_deref()];
        let outcome = [output_of(it.outcome.as_ref()), error_of(it.outcome.as_ref())];
        texts.into_iter().chain(outcome).flatten().any(has_nul)
    };
    let finish = |it: &Finish| {
        let texts = [output_of(it.outcome.as_ref()), error_of(it.outcome.as_ref()), it.reason.as_deref()];
        texts.into_iter().flatten().any(has_nul)
    };
    for entry in entries {
        entry.start.as_ref().map_or(Ok(()), refuse_nul_in_workflow)?;
        if entry.records.iter().any(record) || entry.finish.as_ref().is_some_and(finish) {
            return Err(nul());
        }
        entry.messages.iter().try_for_each(refuse_nul_in)?;
        let emission = |it: &Publication| [&*it.position.branch, &it.name, &it.value].into_iter().any(has_nul);
        if entry.publications.iter().any(emission) {
            return Err(nul());
        }
    }
    Ok(())
}

fn nul() -> StoreError {
    StoreError::new(StoreErrorKind::Refused, "a text with a NUL character in it cannot be stored")
}

fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}
