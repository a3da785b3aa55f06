//! Forks: a new workflow with a part of the records of another one.

use sqlx::Row;

use super::SqlStore;
use super::dialect::{Connection, FROM_CLOCK, HOLD, INPUT_OF_W, JOIN_INPUTS, now, number_at_start};
use super::queues::FoundQueue;
use super::workflow_changes::TIME_LIMIT;
use crate::store::columns::{RECORD, names};
use crate::store::failed_tail::{failed_tail, root_of};
use crate::store::rows_by_kind::{add_saturating, error_of, output_of};
use crate::store::sql::sql_statements;
use crate::store::{
    CancelledWorkflows, ChangeOutcome, Control, ForkOutcome, ForkPoint, ForkRequest, StoreError, StoreFuture,
    WorkflowChange,
};

sql_statements! {
    /// The workflow, which is not deleted before the fork is complete. $1 id.
    source = format!(
        "select w.key, w.queue, w.partition_key <> '' as keyed, {INPUT_OF_W} as input from durable.workflows w {JOIN_INPUTS} where w.id = $1 {HOLD}"
    );
    /// $1 id of the source; $2 key, $3 id, $4 queue, $5 version, $6 trace context of the new one; $7 now.
    fork = format!(
        "insert into durable.workflows
             (key, id, name, instance, status, version, fingerprint, application, started_by, trace_context, labels,
              forked_from, attempt, timeout, deadline, created_at, queue, priority, partition_key, encoding, input)
         select $2, $3, w.name, w.instance, case when coalesce($4, w.queue) is null then 'PENDING' else 'ENQUEUED' end,
                coalesce($5, w.version), w.fingerprint, w.application, w.started_by, $6, w.labels,
                w.id, 1, {TIME_LIMIT}, case when coalesce($4, w.queue) is null then {deadline} end, {now},
                coalesce($4, w.queue), w.priority, w.partition_key, w.encoding, ''
           {FROM_CLOCK} {} durable.workflows w where w.id = $1
         on conflict (id) do nothing",
        if FROM_CLOCK.is_empty() { "from" } else { "cross join" },
        deadline = add_saturating(&now(7), TIME_LIMIT),
        now = now(7)
    );
    /// The fork that has the id. $1 id, $2 source.
    existing = "select w.name, coalesce(w.forked_from = $2, false) as same from durable.workflows w where w.id = $1";
    /// $1 source, $2 new, $3 number of the first call that is not copied.
    steps = copying("steps", &format!("{}, encoding, started_at, completed_at", names(RECORD)), "");
    /// The same for events and stream items. A call that was recorded after the records were copied, or is not
    /// yet, runs again in the fork, and publishes them itself.
    events = copying("events", "workflow, name, set_at, key, branch, position, encoding, value", RECORDED);
    streams = copying("streams", "workflow, name, written_at, key, branch, position, encoding, value", RECORDED);
    /// $1 workflow, $2 branch, $3 position, $4 output, $5 error.
    set_outcome =
        "update durable.steps set output = $4, error = $5, encoding = null
          where workflow = $1 and branch = $2 and position = $3";
}

/// A condition: the fork has the record of the call.
const RECORDED: &str = "and exists (select 1 from durable.steps r
                       where r.workflow = $2 and r.branch = p.branch and r.position = p.position)";

/// Copies the rows of a workflow that belong to the calls before a number, and fulfil a condition.
fn copying(table: &str, columns: &str, condition: &str) -> String {
    let others = columns.replacen("workflow, ", "", 1);
    format!(
        "insert into durable.{table} (workflow, {others})
         select $2, {others} from durable.{table} p
          where workflow = $1 and case when branch = '' then position else {} end < $3 {condition}",
        number_at_start("branch")
    )
}

impl SqlStore {
    pub(super) async fn fork_workflow(&self, request: &ForkRequest) -> Result<ForkOutcome, StoreError> {
        let mut connection = self.writing().await?;
        let mut transaction = self.begin(&mut connection).await?;
        match self.write_fork(&mut transaction, request).await? {
            (outcome @ ForkOutcome::Forked { .. }, rows) => {
                self.end(transaction, rows).await?;
                Ok(outcome)
            }
            (outcome, _) => {
                self.roll_back(transaction).await?;
                Ok(outcome)
            }
        }
    }

    /// Writes it, and gives how many rows were written.
    async fn write_fork(
        &self,
        connection: &mut Connection,
        request: &ForkRequest,
    ) -> Result<(ForkOutcome, u64), StoreError> {
        let sql = &self.sql.fork_rows;
        let key = request.key.get();
        let source = self.query(&sql.source).bind(request.source.clone()).fetch_optional(&mut *connection).await?;
        let Some(source) = source else { return Ok((ForkOutcome::NotFound, 0)) };
        let (own_queue, own_input): (Option<String>, String) = (source.try_get("queue")?, source.try_get("input")?);
        let keyed: bool = source.try_get("keyed")?;
        let source: i64 = source.try_get("key")?;
        if let Some(queue) = &request.queue {
            match self.find_queue(connection, queue).await? {
                FoundQueue::Queue { partitioned } if keyed || !partitioned => {}
                FoundQueue::Queue { .. } => return Ok((ForkOutcome::NoPartitionKey, 0)),
                FoundQueue::Unknown(known) => return Ok((ForkOutcome::UnknownQueue(known), 0)),
            }
        }

        let query = self.query(&sql.fork).bind(request.source.clone()).bind(key).bind(request.id.clone());
        let query = self.bind_now(
            query.bind(request.queue.clone()).bind(request.version.clone()).bind(request.trace_context.clone()),
        );
        let mut rows = query.execute(&mut *connection).await?.rows_affected();
        if rows == 0 {
            let query = self.query(&sql.existing).bind(request.id.clone()).bind(request.source.clone());
            let existing = query.fetch_optional(&mut *connection).await?;
            return Ok(match existing {
                Some(row) if row.try_get("same")? => (ForkOutcome::Existing, 0),
                Some(row) => (ForkOutcome::IdTaken(row.try_get("name")?), 0),
                None => (ForkOutcome::NotFound, 0), // the source was deleted meanwhile
            });
        }
        let (from, last) = self.first_call(&mut *connection, source, request.from).await?;
        if from > last + 1 {
            return Ok((ForkOutcome::BehindEnd(last), 0));
        }
        for text in [&sql.steps, &sql.events, &sql.streams] {
            let query = self.query(text).bind(source).bind(key).bind(from);
            rows += query.execute(&mut *connection).await?.rows_affected();
        }
        self.set_input(&mut *connection, key, request.input.as_deref().unwrap_or(&own_input)).await?;
        for (position, outcome) in &request.outcomes {
            let outcome = Some(outcome);
            let query = self.query(&sql.set_outcome).bind(key).bind(position.branch.to_string()).bind(position.number);
            let query = query.bind(output_of(outcome).map(str::to_owned)).bind(error_of(outcome).map(str::to_owned));
            if query.execute(&mut *connection).await?.rows_affected() == 0 {
                return Ok((ForkOutcome::NoRecord(position.clone()), 0));
            }
        }
        Ok((ForkOutcome::Forked { queue: request.queue.clone().or(own_queue), from }, rows))
    }

    /// The number of the first call that the fork runs anew, and that of the last one with a record.
    async fn first_call(
        &self,
        connection: &mut Connection,
        source: i64,
        point: ForkPoint,
    ) -> Result<(i32, i32), StoreError> {
        let records = self.record_ends(connection, &[source]).await?.remove(&source).unwrap_or_default();
        let last = records.iter().map(|it| root_of(&it.position)).max().unwrap_or_default();
        let from = match point {
            ForkPoint::Position(number) => number,
            ForkPoint::LastStep => last.max(1),
            ForkPoint::Failure => failed_tail(&records).iter().map(root_of).min().unwrap_or(last + 1),
        };
        Ok((from, last))
    }
}

impl Control for SqlStore {
    fn cancel<'a>(&'a self, ids: &'a [String], reason: &'a str, children: bool) -> StoreFuture<'a, CancelledWorkflows> {
        self.cancel_families(ids, reason, children)
    }

    fn change<'a>(&'a self, ids: &'a [String], change: &'a WorkflowChange) -> StoreFuture<'a, Vec<ChangeOutcome>> {
        Box::pin(self.change_persistently(ids, change))
    }

    fn fork<'a>(&'a self, request: &'a ForkRequest) -> StoreFuture<'a, ForkOutcome> {
        self.call(self.fork_workflow(request))
    }
}
