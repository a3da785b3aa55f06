//! Claims from queues with limits over the fleet, or with partition keys, one after the other.
//!
//! A statement sees the database as it was when it began, also where it then waits for a lock. So the
//! queue's row is locked by a statement of its own, and what runs is counted by the next one.

use sqlx::{PgConnection, Row};

use crate::store::columns::{LimitsRow, limits_of};
use crate::store::decode::decode;
use crate::store::decode_queues::{has_rate, runs};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::claim::{RUNNING, claimed_columns, rows_by_key, set_claimed, waits};
use crate::store::postgres::dialect::{CLOCK, FENCE, FENCE_SEEN, is_known};
use crate::store::sql::sql_statements;
use crate::store::{ClaimRequest, Claimed, StoreError};
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 queue.
    lock = format!("select {} from durable.queues q where q.name = $1::text for update", limits_of("q"));
    /// A row to lock, for a queue that no program has declared. $1 queue.
    declare_unlimited =
        "insert into durable.queues (name, created_at)
         select $1::text, (extract(epoch from clock_timestamp()) * 1000000)::bigint on conflict do nothing";
    /// Claims workflows without a partition key. $1, $2 fence; $3 queue; $4 known names; $5 how many at most.
    in_order = format!(
        "with {budget},
         chosen as materialized (
             select w.key from durable.workflows w
              where w.status = 'ENQUEUED' and w.queue = $3::text and {known}
                and w.partition_key = ''
              order by w.priority, w.created_at, w.key
              limit coalesce((select greatest(room, 0) from budget), 0) for update skip locked),
         {take}
         select clock.now, t.* from clock left join taken t on true",
        budget = budget(),
        known = is_known("w", 4),
        take = take()
    );
    /// Claims all workflows, those of a partition key in their order, and of one priority the keys in turns. One
    /// without a key counts like a key of its own. Only the first workflows of each key are read. A key with a
    /// locked row is skipped.
    by_partition_turns = format!(
        "with recursive {budget},
         {KEYS},
         turns as materialized (
             select keys.key as partition_key, p.served_at,
                    least(budget.room, coalesce(q.partition_concurrency, 1) - {RUNNING_OF_KEY},
                          q.partition_rate_starts - {STARTS_OF_KEY}) as room
               from budget, queue q, clock, keys
               left join durable.queue_partitions p on p.queue = $3::text and p.partition_key = keys.key
              where keys.key is not null and budget.room > 0),
         heads as materialized (
             select i.key, i.priority, i.created_at, t.partition_key,
                    row_number() over line as round,
                    coalesce(t.served_at, first_value(i.created_at) over line) as since,
                    bool_and({known_in_line}) over line as known
               from turns t
              cross join lateral (
                    select w.key, w.name, w.version, w.priority, w.created_at from durable.workflows w
                     where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = t.partition_key
                       and w.partition_key >= ''
                     order by w.queue, w.partition_key, w.priority, w.created_at, w.key
                     limit greatest(t.room, 0)) i
             window line as (partition by t.partition_key order by i.priority, i.created_at, i.key)),
         keyless as materialized (
             select w.key, w.priority, w.created_at, w.partition_key, 1 as round, w.created_at as since, true as known
               from durable.workflows w
              where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.partition_key >= ''
                and {known}
              order by w.queue, w.partition_key, w.priority, w.created_at, w.key
              limit coalesce((select greatest(room, 0) from budget), 0)),
         wanted as materialized (
             select h.key, h.partition_key, h.round,
                    row_number() over (order by h.priority, h.round, h.since, h.created_at, h.key) as turn
               from (select * from heads union all select * from keyless) h
              where h.known
              order by h.priority, h.round, h.since, h.created_at, h.key
              limit coalesce((select greatest(room, 0) from budget), 0)),
         locked as materialized (
             select w.key from durable.workflows w, clock, {wanted}
              where w.key = it.key and w.status = clock.waiting for update of w skip locked),
         chosen as materialized (
             select w.key from wanted w
              where w.key in (select key from locked)
                and (w.partition_key = '' or not exists (
                    select 1 from wanted earlier
                     where earlier.partition_key = w.partition_key and earlier.round < w.round
                       and earlier.key not in (select key from locked)))),
         {take},
         served as (
             insert into durable.queue_partitions (queue, partition_key, served_at)
             select $3::text, t.partition_key, max(t.started_at + w.turn) from taken t join wanted w on w.key = t.key
              where t.partition_key > ''
              group by t.partition_key
             on conflict (queue, partition_key) do update set served_at = excluded.served_at),
         forgotten as (
             delete from durable.queue_partitions p using clock
              where p.queue = $3::text and p.served_at < clock.now - {REMEMBERED}
                and p.partition_key not in (select partition_key from taken))
         select clock.now, t.* from clock left join taken t on true",
        budget = budget(),
        known_in_line = is_known("i", 4),
        known = is_known("w", 4),
        wanted = rows_by_key("wanted", "$5::bigint"),
        take = take()
    );
    /// Starts that lie in the future, because the clock has gone back since, count from now. $1 queue; $2 now.
    clamp =
        "update durable.queue_starts set started_at = $2::bigint
          where queue = $1::text and started_at > $2::bigint";
    /// When the rate limit lets the next workflow start, if one waits and only the rate limit holds it back, no
    /// workflow has a partition key, and the last start. $1, $2 fence; $3 queue; $4 known names.
    next_in_order = format!(
        "with queue as materialized (select * from durable.queues where name = $3::text)
         select {FULL_UNTIL} as next_at, {LAST_START} as last_start from queue q
          where {} and coalesce({RUNNING} < q.concurrency, true) and {FENCE_SEEN}",
        waits()
    );
    /// The same with partition keys, each of which may have a window of its own: the first that has room.
    next_turn = format!(
        "with recursive queue as materialized (select * from durable.queues where name = $3::text),
         {KEYS},
         ready (next_at) as (
             select case when q.partition_rate_starts is not null then coalesce(
                    (select s.started_at + q.partition_rate_period from durable.queue_starts s
                      where s.queue = $3::text and s.partition_key = keys.key
                      order by s.started_at desc offset greatest(q.partition_rate_starts - 1, 0) limit 1), 0) else 0 end
               from queue q, keys
              where keys.key is not null and {RUNNING_OF_KEY} < coalesce(q.partition_concurrency, 1)
                and (select {known} from durable.workflows h
                      where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key = keys.key
                        and h.partition_key >= ''
                      order by h.queue, h.partition_key, h.priority, h.created_at, h.key limit 1)
             union all
             select 0
              where (select h.key from durable.workflows h
                      where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key = '' and h.partition_key >= ''
                        and {known}
                      order by h.queue, h.partition_key, h.priority, h.created_at, h.key limit 1) is not null)
         select greatest({FULL_UNTIL}, (select min(next_at) from ready)) as next_at, {LAST_START} as last_start
           from queue q
          where exists (select 1 from ready) and coalesce({RUNNING} < q.concurrency, true) and {FENCE_SEEN}",
        known = is_known("h", 4)
    );
}

/// How long the last claim of a partition key is remembered (microseconds): longer than a workflow should
/// wait. A forgotten key counts from the time at which its oldest workflow was enqueued.
const REMEMBERED: i64 = 3_600_000_000;

/// The partition keys with ENQUEUED workflows, as a table `keys (key)` for a `with recursive`. It hops from key to
/// key through their index, so it costs one lookup per key and not one per workflow.
const KEYS: &str = "
    keys (key) as (
        (select w.partition_key from durable.workflows w
          where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key > '' and w.partition_key >= ''
          order by w.queue, w.partition_key limit 1)
        union all
        select (select w.partition_key from durable.workflows w
                 where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key > keys.key and w.partition_key >= ''
                 order by w.queue, w.partition_key limit 1)
          from keys where keys.key is not null)";

/// How many run of one of the `keys`.
const RUNNING_OF_KEY: &str = "(select count(*) from durable.workflows p
      where p.status = 'PENDING' and p.queue = $3::text and p.partition_key = keys.key)";

/// How many of one of the `keys` were started in its window.
const STARTS_OF_KEY: &str = "(select count(*) from durable.queue_starts s
      where s.queue = $3::text and s.partition_key = keys.key and s.started_at > clock.now - q.partition_rate_period)";

/// Until when the window of the queue `q` is full; 0 where it never was.
const FULL_UNTIL: &str = "coalesce((select s.started_at + q.rate_period from durable.queue_starts s
      where s.queue = $3::text order by s.started_at desc offset greatest(q.rate_starts - 1, 0) limit 1), 0)";

/// The time of the last start that is counted.
const LAST_START: &str = "(select max(s.started_at) from durable.queue_starts s where s.queue = $3::text)";

/// How many may be started now: the least of what the caller wants and what each limit allows.
fn budget() -> String {
    format!(
        "queue as materialized (select * from durable.queues where name = $3::text),
         clock as materialized (select now, 'ENQUEUED' as waiting from {CLOCK} c),
         fence as materialized {FENCE},
         budget as materialized (
             select least($5::bigint,
                          case when q.concurrency is not null then q.concurrency - {RUNNING} end,
                          case when q.rate_starts is not null then q.rate_starts - (
                               select count(*) from durable.queue_starts s
                                where s.queue = $3::text and s.started_at > clock.now - q.rate_period) end) as room
               from queue q, clock, fence
              where not q.paused)"
    )
}

/// Starts the `chosen` workflows, and counts them for the rate limits.
fn take() -> String {
    format!(
        "taken as (
             update durable.workflows w set {} from clock c, {}
              where w.key = it.key
             returning {}),
         noted as (
             insert into durable.queue_starts (queue, partition_key, started_at, workflow)
             select $3::text, t.partition_key, t.started_at, t.key from taken t, queue q
              where q.rate_starts is not null or q.partition_rate_starts is not null),
         pruned as (
             delete from durable.queue_starts s using queue q, clock
              where s.queue = $3::text
                and s.started_at <= clock.now - greatest(coalesce(q.rate_period, 0), coalesce(q.partition_rate_period, 0)))",
        set_claimed(),
        rows_by_key("chosen", "$5::bigint"),
        claimed_columns()
    )
}

impl PostgresStore {
    /// Claims from a queue that has workflows to claim, and limits over the fleet or, with `keyed`, partition
    /// keys. A key that comes up in between is left to the next claim.
    pub(super) async fn claim_limited(&self, request: &ClaimRequest, keyed: bool) -> Result<Claimed, StoreError> {
        let mut connection = self.writing().await?;
        let mut transaction = self.begin(&mut connection).await?;
        let sql = &self.sql.claim_limited;
        let lock = || self.query(&sql.lock).bind(&request.queue);
        let mut row = lock().fetch_optional(&mut *transaction).await?;
        if row.is_none() {
            self.query(&sql.declare_unlimited).bind(&request.queue).execute(&mut *transaction).await?;
            row = lock().fetch_optional(&mut *transaction).await?;
        }
        let Some(row) = row else {
            self.roll_back(transaction).await?;
            return Ok(Claimed::default()); // it was deleted a moment ago
        };
        let mut claimed = Claimed::of(&decode::<_, LimitsRow, _>(&row)?);
        let clamped = self.claim_chosen(&mut transaction, request, keyed, &mut claimed).await?;
        if claimed.runs.is_empty() && !clamped {
            self.roll_back(transaction).await?; // which costs the server nothing
        } else {
            self.end(transaction, claimed.runs.len() as u64).await?;
        }
        Ok(claimed)
    }

    /// Returns whether starts in the future were found and changed.
    async fn claim_chosen(
        &self,
        transaction: &mut PgConnection,
        request: &ClaimRequest,
        keyed: bool,
        claimed: &mut Claimed,
    ) -> Result<bool, StoreError> {
        let sql = &self.sql.claim_limited;
        let (claim, next) =
            if keyed { (&sql.by_partition_turns, &sql.next_turn) } else { (&sql.in_order, &sql.next_in_order) };
        let asking = |text| self.fenced(text, request.fence).bind(&request.queue).bind(&request.known);
        let rows = asking(claim).bind(i64::from(request.limit)).fetch_all(&mut *transaction).await?;
        let now: Timestamp = rows[0].try_get("now")?; // there is a row, also where nothing was claimed
        claimed.runs = runs(&rows)?;
        if has_rate(&claimed.limits) && !claimed.paused && claimed.runs.len() < request.limit as usize {
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
