//! Claims from queues with limits over the fleet, or with partition keys. There is one writer at a time, so what a claim
//! counts stays as it is until the claim is over.

use sqlx::{Row, SqliteConnection};

use crate::store::columns::{LimitsRow, limits_of};
use crate::store::decode::decode;
use crate::store::decode_queues::{has_rate, runs};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::claim::{RUNNING, claimed_columns, set_claimed, waits};
use crate::store::sqlite::dialect::{FENCE_HOLDS, is_known, list};
use crate::store::{ClaimRequest, Claimed, StoreError};
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 queue.
    limits = format!("select {} from durable.queues q where q.name = $1", limits_of("q"));
    /// A row for a queue that no program has declared. $1 queue; $2 now.
    declare_unlimited = "insert into durable.queues (name, created_at) values ($1, $2) on conflict do nothing";
    /// Claims workflows without a partition key. $1, $2 fence; $3 now; $4 queue; $5 known names; $6 how many at
    /// most.
    in_order = format!(
        "with {BUDGET}
         select w.key, w.partition_key from durable.workflows w indexed by durable_workflows_enqueued
          where w.status = 'ENQUEUED' and w.queue = $4 and {known}
            and w.partition_key = '' and {FENCE_HOLDS}
          order by w.priority, w.created_at, w.key limit coalesce((select max(room, 0) from budget), 0)",
        known = is_known("w", 5)
    );
    /// Claims all workflows, those of a partition key in their order, and of one priority the keys in turns. One
    /// without a key counts like a key of its own. It reads the first workflows of each key, as many as its limits
    /// allow, and stops at a name that the caller does not know.
    by_partition_turns = format!(
        "with recursive {BUDGET},
         {KEYS},
         turns (partition_key, served_at, room) as (
             select keys.key, p.served_at,
                    min(budget.room, coalesce(q.partition_concurrency, 1) - {RUNNING_OF_KEY},
                        coalesce(q.partition_rate_starts - {STARTS_OF_KEY}, budget.room))
               from budget, durable.queues q, keys
               left join durable.queue_partitions p on p.queue = $4 and p.partition_key = keys.key
              where q.name = $4 and keys.key is not null and budget.room > 0),
         heads (key, known, priority, created_at, partition_key, room, since, round) as (
             select w.key, {known}, w.priority, w.created_at, t.partition_key, t.room, coalesce(t.served_at, w.created_at), 1
               from turns t
               join durable.workflows w on w.key = (
                    select n.key from durable.workflows n indexed by durable_workflows_partitions
                     where n.status = 'ENQUEUED' and n.queue = $4 and n.partition_key = t.partition_key
                     order by n.priority, n.created_at, n.key limit 1)
              where t.room > 0
             union all
             select w.key, {known}, w.priority, w.created_at, h.partition_key, h.room, h.since, h.round + 1
               from heads h
               join durable.workflows w on w.key = (
                    select n.key from durable.workflows n indexed by durable_workflows_partitions
                     where n.status = 'ENQUEUED' and n.queue = $4 and n.partition_key = h.partition_key
                       and (n.priority, n.created_at, n.key) > (h.priority, h.created_at, h.key)
                     order by n.priority, n.created_at, n.key limit 1)
              where h.round < h.room and h.known)
         select h.key, h.partition_key
           from (select h.key, h.known, h.priority, h.created_at, h.partition_key, h.since, h.round from heads h
                 union all
                 select * from (
                        select w.key, 1, w.priority, w.created_at, '', w.created_at, 1
                          from durable.workflows w indexed by durable_workflows_partitions
                         where w.status = 'ENQUEUED' and w.queue = $4 and w.partition_key = ''
                           and {known}
                         order by w.priority, w.created_at, w.key
                         limit coalesce((select max(room, 0) from budget), 0))) h
          where h.known and {FENCE_HOLDS}
          order by h.priority, h.round, h.since, h.created_at, h.key limit coalesce((select max(room, 0) from budget), 0)",
        known = is_known("w", 5)
    );
    /// $1, $2 fence; $3 now; $4 keys.
    take = format!(
        "update durable.workflows set {} where key in (select value from json_each($4)) and {FENCE_HOLDS} returning {}",
        set_claimed(),
        claimed_columns()
    );
    /// $1 keys of what was taken.
    note =
        "insert into durable.queue_starts (queue, partition_key, started_at, workflow)
         select queue, partition_key, started_at, key from durable.workflows
          where key in (select value from json_each($1))";
    /// $1 queue; $2 now.
    prune =
        "delete from durable.queue_starts
          where queue = $1 and started_at <= $2 - (
                select max(coalesce(q.rate_period, 0), coalesce(q.partition_rate_period, 0))
                  from durable.queues q where q.name = $1)";
    /// $1 queue; $2 now; $3 the partition keys of what was taken, turn by turn.
    serve =
        "insert into durable.queue_partitions (queue, partition_key, served_at)
         select $1, value, $2 + max(key) from json_each($3) where value > '' group by value
         on conflict (queue, partition_key) do update set served_at = excluded.served_at";
    /// $1 queue; $2 now.
    forget = format!("delete from durable.queue_partitions where queue = $1 and served_at < $2 - {REMEMBERED}");
    /// Starts that lie in the future, because the clock has gone back since, count from now. $1 queue; $2 now.
    clamp = "update durable.queue_starts set started_at = $2 where queue = $1 and started_at > $2";
    /// When the rate limit lets the next workflow start, if one waits and only the rate limit holds it back, no
    /// workflow has a partition key, and the last start. $4 queue; $5 known names.
    next_in_order = format!(
        "select {FULL_UNTIL} as next_at, {LAST_START} as last_start from durable.queues q
          where q.name = $4 and {} and coalesce({RUNNING} < q.concurrency, 1)",
        waits()
    );
    /// The same with partition keys, each of which may have a window of its own: the first that has room.
    next_turn = format!(
        "with recursive {KEYS},
         ready (next_at) as (
             select case when q.partition_rate_starts is not null then coalesce(
                    (select s.started_at + q.partition_rate_period from durable.queue_starts s
                      where s.queue = $4 and s.partition_key = keys.key
                      order by s.started_at desc limit 1
                     offset (select max(coalesce(o.partition_rate_starts, 1) - 1, 0) from durable.queues o where o.name = $4)),
                    0) else 0 end
               from durable.queues q, keys
              where q.name = $4 and keys.key is not null
                and {RUNNING_OF_KEY} < coalesce(q.partition_concurrency, 1)
                and (select {known} from durable.workflows h indexed by durable_workflows_partitions
                      where h.status = 'ENQUEUED' and h.queue = $4 and h.partition_key = keys.key
                      order by h.priority, h.created_at, h.key limit 1)
             union all
             select 0
              where exists (select 1 from durable.workflows h indexed by durable_workflows_partitions
                             where h.status = 'ENQUEUED' and h.queue = $4 and h.partition_key = ''
                               and {known}))
         select max({FULL_UNTIL}, (select min(next_at) from ready)) as next_at, {LAST_START} as last_start
           from durable.queues q
          where q.name = $4 and exists (select 1 from ready) and coalesce({RUNNING} < q.concurrency, 1)",
        known = is_known("h", 5)
    );
}

/// How long the last claim of a partition key is remembered (microseconds): longer than a workflow should
/// wait. A forgotten key counts from the time at which its oldest workflow was enqueued.
const REMEMBERED: i64 = 3_600_000_000;

/// How many may be started now, as a table `budget (room)`: the least of what the caller wants and what
/// each limit allows.
const BUDGET: &str = "
    budget (room) as (
        select min($6,
                   case when q.concurrency is null then $6 else q.concurrency - (
                        select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $4) end,
                   case when q.rate_starts is null then $6 else q.rate_starts - (
                        select count(*) from durable.queue_starts s where s.queue = $4 and s.started_at > $3 - q.rate_period) end)
          from durable.queues q where q.name = $4 and not q.paused)";

/// The partition keys with ENQUEUED workflows, as a table `keys (key)` for a `with recursive`. It hops from key to
/// key through their index, so it costs one lookup per key and not one per workflow.
const KEYS: &str = "
    keys (key) as (
        select (select w.partition_key from durable.workflows w indexed by durable_workflows_partitions
                 where w.status = 'ENQUEUED' and w.queue = $4 and w.partition_key > ''
                 order by w.partition_key limit 1)
        union all
        select (select w.partition_key from durable.workflows w indexed by durable_workflows_partitions
                 where w.status = 'ENQUEUED' and w.queue = $4 and w.partition_key > keys.key
                 order by w.partition_key limit 1)
          from keys where keys.key is not null)";

/// How many run of one of the `keys`.
const RUNNING_OF_KEY: &str = "(select count(*) from durable.workflows p
      where p.status = 'PENDING' and p.queue = $4 and p.partition_key = keys.key)";

/// How many of one of the `keys` were started in its window.
const STARTS_OF_KEY: &str = "(select count(*) from durable.queue_starts s
      where s.queue = $4 and s.partition_key = keys.key and s.started_at > $3 - q.partition_rate_period)";

/// Until when the window of the queue `q` is full; 0 where it never was.
const FULL_UNTIL: &str = "coalesce((select s.started_at + q.rate_period from durable.queue_starts s
      where s.queue = $4 order by s.started_at desc
      limit 1 offset (select max(coalesce(o.rate_starts, 1) - 1, 0) from durable.queues o where o.name = $4)), 0)";

/// The time of the last start that is counted.
const LAST_START: &str = "(select max(s.started_at) from durable.queue_starts s where s.queue = $4)";

impl SqliteStore {
    /// Claims from a queue that has workflows to claim, and limits over the fleet or, with `keyed`, partition
    /// keys. A key that comes up in between is left to the next claim.
    pub(super) async fn claim_limited(&self, request: &ClaimRequest, keyed: bool) -> Result<Claimed, StoreError> {
        let mut writer = self.writing().await?;
        let mut transaction = self.begin(&mut writer).await?;
        let sql = &self.sql.claim_limited;
        let limits = || self.query(&sql.limits).bind(&request.queue);
        let mut row = limits().fetch_optional(&mut *transaction).await?;
        if row.is_none() {
            let declare = self.query(&sql.declare_unlimited).bind(&request.queue).bind(self.clock.now());
            declare.execute(&mut *transaction).await?;
            row = limits().fetch_optional(&mut *transaction).await?;
        }
        let Some(row) = row else {
            self.roll_back(transaction).await?;
            return Ok(Claimed::default()); // there is one now
        };
        let mut claimed = Claimed::of(&decode::<_, LimitsRow, _>(&row)?);
        let clamped = self.claim_chosen(&mut transaction, request, keyed, &mut claimed).await?;
        if claimed.runs.is_empty() && !clamped {
            self.roll_back(transaction).await?;
        } else {
            self.end(transaction, claimed.runs.len() as u64).await?;
        }
        Ok(claimed)
    }

    /// Returns whether starts in the future were found and changed.
    async fn claim_chosen(
        &self,
        transaction: &mut SqliteConnection,
        request: &ClaimRequest,
        keyed: bool,
        claimed: &mut Claimed,
    ) -> Result<bool, StoreError> {
        let (sql, now) = (&self.sql.claim_limited, self.clock.now());
        let (claim, next) =
            if keyed { (&sql.by_partition_turns, &sql.next_turn) } else { (&sql.in_order, &sql.next_in_order) };
        let asking = |text| {
            let query = self.fenced(text, request.fence).bind(now);
            query.bind(&request.queue).bind(list(&request.known))
        };
        let chosen = asking(claim).bind(i64::from(request.limit)).fetch_all(&mut *transaction).await?;
        let rated = has_rate(&claimed.limits);
        if !chosen.is_empty() {
            let (mut keys, mut turns) = (Vec::<i64>::new(), Vec::<&str>::new());
            for row in &chosen {
                keys.push(row.try_get("key")?);
                turns.push(row.try_get("partition_key")?);
            }
            let query = self.fenced(&sql.take, request.fence).bind(now).bind(list(&keys));
            claimed.runs = runs(&query.fetch_all(&mut *transaction).await?)?;
            if rated {
                self.query(&sql.note).bind(list(&keys)).execute(&mut *transaction).await?;
            }
            if keyed {
                let query = self.query(&sql.serve).bind(&request.queue).bind(now);
                query.bind(list(&turns)).execute(&mut *transaction).await?;
            }
            for (text, needed) in [(&sql.prune, rated), (&sql.forget, keyed)] {
                if needed {
                    self.query(text).bind(&request.queue).bind(now).execute(&mut *transaction).await?;
                }
            }
        }
        if rated && !claimed.paused && claimed.runs.len() < request.limit as usize {
            let row = asking(next).fetch_optional(&mut *transaction).await?;
            let (mut at, last): (Option<Timestamp>, Option<Timestamp>) =
                row.map_or(Ok((None, None)), |row| Ok::<_, StoreError>((row.try_get(0)?, row.try_get(1)?)))?;
            let clamped = last.is_some_and(|last| last > now);
            if clamped {
                self.query(&sql.clamp).bind(&request.queue).bind(now).execute(&mut *transaction).await?;
                let row = asking(next).fetch_optional(transaction).await?;
                at = row.map(|row| row.try_get("next_at")).transpose()?;
            }
            claimed.next_at = at.filter(|at| *at > now);
            return Ok(clamped);
        }
        Ok(false)
    }
}
