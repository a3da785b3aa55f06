//! Claims from queues with limits over the fleet, or with partition keys. There is one writer at a time, so what a claim
//! counts stays as it is until the claim is over.

use sqlx::{Row, SqliteConnection};

use crate::store::columns::{LimitsRow, limits_of};
use crate::store::decode::decode;
use crate::store::decode_queues::{has_rate, runs};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::claim::{RUNNING, at_the_head, claimed_columns, kinds, of_known_kinds, set_claimed, waits};
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
        "with {BUDGET} select f.key, {ROOM} as room from {} where {} limit {ROOM}",
        at_the_head(FENCE_HOLDS),
        is_known("f", 5)
    );
    /// The same behind many workflows that the caller does not know: by what it knows.
    in_order_by_kind = format!(
        "with recursive {BUDGET}, {} select i.key from {}",
        kinds(),
        of_known_kinds(&format!("case when {FENCE_HOLDS} then {ROOM} else 0 end"))
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
    /// Starts that lie in the future, because the clock has gone back since, count from now. $1 queue; $2 now.
    clamp = "update durable.queue_starts set started_at = $2 where queue = $1 and started_at > $2";
    /// When the rate limit lets the next workflow start, if one waits and only the rate limit holds it back, no
    /// workflow has a partition key, and the last start. $4 queue; $5 known names.
    next_in_order = format!(
        "select {FULL_UNTIL} as next_at, {LAST_START} as last_start from durable.queues q
          where q.name = $4 and {} and coalesce({RUNNING} < q.concurrency, 1)",
        waits()
    );
}

/// How many may be started now, as a table `budget (room)`: the least of what the caller wants and what
/// each limit allows.
pub(super) const BUDGET: &str = "
    budget (room) as (
        select min($6,
                   case when q.concurrency is null then $6 else q.concurrency - (
                        select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $4) end,
                   case when q.rate_starts is null then $6 else q.rate_starts - (
                        select count(*) from durable.queue_starts s where s.queue = $4 and s.started_at > $3 - q.rate_period) end)
          from durable.queues q where q.name = $4 and not q.paused)";

/// How many the budget allows.
pub(super) const ROOM: &str = "coalesce((select max(room, 0) from budget), 0)";

/// Until when the window of the queue `q` is full; 0 where it never was.
pub(super) const FULL_UNTIL: &str = "coalesce((select s.started_at + q.rate_period from durable.queue_starts s
      where s.queue = $4 order by s.started_at desc
      limit 1 offset (select max(coalesce(o.rate_starts, 1) - 1, 0) from durable.queues o where o.name = $4)), 0)";

/// The time of the last start that is counted.
pub(super) const LAST_START: &str = "(select max(s.started_at) from durable.queue_starts s where s.queue = $4)";

impl SqliteStore {
    /// Claims from a queue that has workflows to claim, and limits over the fleet or, with `keyed`, partition
    /// keys. A key that comes up in between is left to the next claim.
    pub(super) async fn claim_limited(
        &self,
        request: &ClaimRequest,
        keyed: bool,
        goes_on: bool,
    ) -> Result<Claimed, StoreError> {
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
        let clamped = self.claim_chosen(&mut transaction, request, (keyed, goes_on), &mut claimed).await?;
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
        (keyed, goes_on): (bool, bool),
        claimed: &mut Claimed,
    ) -> Result<bool, StoreError> {
        let (sql, turns, now) = (&self.sql.claim_limited, &self.sql.claim_turns, self.clock.now());
        let (claim, next) =
            if keyed { (&turns.by_partition_turns, &turns.next_turn) } else { (&sql.in_order, &sql.next_in_order) };
        let asking = |text| {
            let query = self.fenced(text, request.fence).bind(now);
            query.bind(&request.queue).bind(list(&request.known))
        };
        let claiming = |text| asking(text).bind(i64::from(request.limit));
        let mut chosen = claiming(claim).fetch_all(&mut *transaction).await?;
        if !keyed && goes_on {
            let room: Option<i64> = chosen.first().map(|row| row.try_get("room")).transpose()?;
            if room.is_none_or(|room| i64::try_from(chosen.len()).is_ok_and(|taken| taken < room)) {
                chosen = claiming(&sql.in_order_by_kind).fetch_all(&mut *transaction).await?;
            }
        }
        let rated = has_rate(&claimed.limits);
        if !chosen.is_empty() {
            let keys = chosen.iter().map(|row| row.try_get("key")).collect::<Result<Vec<i64>, _>>()?;
            let query = self.fenced(&sql.take, request.fence).bind(now).bind(list(&keys));
            claimed.runs = runs(&query.fetch_all(&mut *transaction).await?)?;
            if rated {
                self.query(&sql.note).bind(list(&keys)).execute(&mut *transaction).await?;
            }
            if keyed {
                self.note_turns(transaction, &request.queue, now, &chosen).await?;
            }
            if rated {
                self.query(&sql.prune).bind(&request.queue).bind(now).execute(&mut *transaction).await?;
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
