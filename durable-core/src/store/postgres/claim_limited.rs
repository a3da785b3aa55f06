//! Claims from queues with limits over the fleet, or with partition keys, one after the other.
//!
//! A statement sees the database as it was when it began, also where it then waits for a lock. So the
//! queue's row is locked by a statement of its own, and what runs is counted by the next one.

use sqlx::{PgConnection, Row};

use crate::store::columns::{LimitsRow, limits_of};
use crate::store::decode::decode;
use crate::store::decode_queues::{has_rate, runs};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::claim::{
    RUNNING, at_the_head, claimed_columns, goes_on, kinds, of_known_kinds, rows_by_key, set_claimed, waits,
};
use crate::store::postgres::dialect::{CLOCK, FENCE, FENCE_SEEN};
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
         chosen as materialized ({head}),
         {take}
         select clock.now, {goes_on}, t.* from clock left join taken t on true",
        budget = budget(),
        head = at_the_head(ROOM, HAS_ROOM),
        goes_on = goes_on(ROOM, HAS_ROOM),
        take = take()
    );
    /// The same behind many workflows that the caller does not know: by what it knows.
    in_order_by_kind = format!(
        "with recursive {budget},
         {kinds},
         chosen as materialized (select key from ({known}) i),
         {take}
         select clock.now, t.* from clock left join taken t on true",
        budget = budget(),
        kinds = kinds(),
        known = of_known_kinds("w.key, w.priority, w.created_at", ROOM, "for update skip locked"),
        take = take()
    );
    /// Starts that lie in the future, because the clock has gone back since, count from now. $1 queue; $2 now.
    clamp =
        "update durable.queue_starts set started_at = $2::bigint
          where queue = $1::text and started_at > $2::bigint and partition_key >= ''";
    /// When the rate limit lets the next workflow start, if one waits and only the rate limit holds it back, no
    /// workflow has a partition key, and the last start. $1, $2 fence; $3 queue; $4 known names.
    next_in_order = format!(
        "with queue as materialized (select * from durable.queues where name = $3::text)
         select {FULL_UNTIL} as next_at, {LAST_START} as last_start from queue q
          where {} and coalesce({RUNNING} < q.concurrency, true) and {FENCE_SEEN}",
        waits()
    );
}

/// A condition: the budget allows some.
const HAS_ROOM: &str = "(select room from budget) > 0";

/// How many the budget allows.
pub(super) const ROOM: &str = "coalesce((select greatest(room, 0) from budget), 0)";

/// Until when the window of the queue `q` is full; 0 where it never was.
pub(super) const FULL_UNTIL: &str = "coalesce((select s.started_at + q.rate_period from durable.queue_starts s
      where s.queue = $3::text and s.partition_key >= '' order by s.started_at desc offset greatest(q.rate_starts - 1, 0) limit 1), 0)";

/// The time of the last start that is counted.
pub(super) const LAST_START: &str = "(select s.started_at from durable.queue_starts s
      where s.queue = $3::text and s.partition_key >= '' order by s.started_at desc limit 1)";

/// How many may be started now: the least of what the caller wants and what each limit allows.
pub(super) fn budget() -> String {
    format!(
        "queue as materialized (select * from durable.queues where name = $3::text),
         clock as materialized (select now, 'ENQUEUED' as waiting from {CLOCK} c),
         fence as materialized {FENCE},
         budget as materialized (
             select least($5::bigint,
                          case when q.concurrency is not null then q.concurrency - {RUNNING} end,
                          case when q.rate_starts is not null then q.rate_starts - (
                               select count(*) from durable.queue_starts s
                                where s.queue = $3::text and s.partition_key >= '' and s.started_at > clock.now - q.rate_period) end) as room
               from queue q, clock, fence
              where not q.paused)"
    )
}

/// Starts the `chosen` workflows, and counts them for the rate limits.
fn take() -> String {
    start_and_count(&format!(", {} where w.key = it.key", rows_by_key("chosen", "$5::bigint")))
}

/// Starts workflows `w`, which are selected by what goes behind the table of the time, and counts them for the rate limits.
pub(super) fn start_and_count(which: &str) -> String {
    format!(
        "taken as (
             update durable.workflows w set {} from clock c{which}
             returning {}),
         noted as (
             insert into durable.queue_starts (queue, partition_key, started_at, workflow)
             select $3::text, t.partition_key, t.started_at, t.key from taken t, queue q
              where q.rate_starts is not null or q.partition_rate_starts is not null),
         pruned as (
             delete from durable.queue_starts s using queue q, clock
              where s.queue = $3::text and s.partition_key >= ''
                and s.started_at <= clock.now - greatest(coalesce(q.rate_period, 0), coalesce(q.partition_rate_period, 0)))",
        set_claimed(),
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
        let (sql, turns) = (&self.sql.claim_limited, &self.sql.claim_turns);
        let (claim, next) =
            if keyed { (&turns.by_partition_turns, &turns.next_turn) } else { (&sql.in_order, &sql.next_in_order) };
        let asking = |text| self.fenced(text, request.fence).bind(&request.queue).bind(&request.known);
        let most = i64::from(request.limit);
        let rows = asking(claim).bind(most).fetch_all(&mut *transaction).await?;
        let now: Timestamp = rows[0].try_get("now")?; // there is a row, also where nothing was claimed
        claimed.runs = runs(&rows)?;
        if !keyed && rows[0].try_get("goes_on")? {
            let left = most.saturating_sub_unsigned(claimed.runs.len() as u64);
            let query = asking(&sql.in_order_by_kind).bind(left);
            claimed.runs.extend(runs(&query.fetch_all(&mut *transaction).await?)?);
        }
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
