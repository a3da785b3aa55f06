//! Claims in SQLite from queues on which workflows with partition keys wait: the keys take turns.
//!
//! A claim goes from key to key until it has as many as it may start, priority by priority, and begins in each behind the
//! key that was served last. So it costs by what it takes, and by the keys that it passes over: those with as many running
//! or started as their limits allow, and those whose next workflow the caller does not know.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::store::StoreError;
use crate::store::rows_by_kind::{PRIORITIES_IN_TURNS, TURNS_REMEMBERED, WINDOWS_LOOKED_AT};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::claim::{RUNNING, kinds, of_known_kinds, waits};
use crate::store::sqlite::claim_limited::{BUDGET, FULL_UNTIL, LAST_START, ROOM};
use crate::store::sqlite::dialect::{FENCE_HOLDS, is_known, list};
use crate::types::time::Timestamp;

sql_statements! {
    /// Selects workflows to claim, in the order of the turns: those of a partition key in their order, and of one priority
    /// the keys in turns. Those without a key take turns with the keys, one by one. $1, $2 fence; $3 now; $4 queue; $5
    /// known names; $6 how many at most.
    ///
    /// `rotation` has one row for each step. In stage 0 it goes from the key that was served last to the last one, in
    /// stage 1 from the first one to that, in stage 2 to the next priority, and 3 is the end. Behind many priorities it
    /// goes through all keys instead, in stage 4: a key may have a workflow in each. Until the next step, `ready` does not
    /// count the row itself.
    by_partition_turns = format!(
        "with recursive {BUDGET},
         rotation (class, stage, place, until, key, priority, partition_key, room, ready, classes) as (
             select {BEFORE_ALL}, 2, '', '', null, null, null, 0, 0, 0 from budget where room > 0 and {FENCE_HOLDS}
             union all
             select coalesce(class.priority, r.class),
                    case when {is_met} then r.stage
                         when class.key is not null then 0
                         when r.stage = 2 and r.classes >= {PRIORITIES_IN_TURNS} then 4
                         when r.stage in (2, 4) then 3
                         when r.stage = 0 and r.until > '' then 1
                         else 2 end,
                    case when class.key is not null then {served_place}
                         when {is_met} then case r.stage when 4 then n.partition_key else {place_of_next} end
                         else '' end,
                    case when r.stage in (2, 4) then {served_place} else r.until end,
                    n.key, n.priority, n.partition_key,
                    case when {is_met} and {known_next} and {is_head}
                         then min(budget.room, coalesce(q.partition_concurrency, 1) - {running},
                                  coalesce(q.partition_rate_starts - {STARTS_OF_NEXT}, budget.room))
                         else 0 end,
                    r.ready + (r.room > 0), r.classes + (r.stage = 2)
               from rotation r cross join budget cross join durable.queues q
               left join durable.workflows n on n.key = case
                    when r.stage < 2 then (
                         select h.key from durable.workflows h indexed by durable_workflows_turns
                          where h.status = 'ENQUEUED' and h.queue = $4 and h.priority = r.class and h.partition_key <> ''
                            and {place} > r.place
                          order by {place}, h.created_at, h.key limit 1)
                    when r.stage = 4 then (
                         select h.key from durable.workflows h indexed by durable_workflows_partitions
                          where h.status = 'ENQUEUED' and h.queue = $4 and h.partition_key <> '' and h.partition_key > r.place
                          order by h.partition_key, h.priority, h.created_at, h.key limit 1) end
               left join durable.workflows class on class.key = case
                    when r.stage = 2 and r.classes < {PRIORITIES_IN_TURNS} then (
                         select h.key from durable.workflows h indexed by durable_workflows_turns
                          where h.status = 'ENQUEUED' and h.queue = $4 and h.priority > r.class and h.partition_key <> ''
                          order by h.priority limit 1) end
               left join durable.queue_turns t on t.queue = $4
                    and t.priority = coalesce(class.priority, case r.stage when 4 then n.priority end)
              where q.name = $4 and r.stage <> 3 and (r.ready + (r.room > 0) < budget.room or r.stage = 4)),
         turns as materialized (
             select r.key, r.priority, r.partition_key, r.room,
                    row_number() over (
                        partition by r.priority order by {place_of_key} <= r.until, {place_of_key}) as turn,
                    count(*) over (order by r.priority) as reached
               from rotation r where r.room > 0),
         heads (key, known, priority, created_at, partition_key, class, most, turn, round) as (
             select w.key, 1, w.priority, w.created_at, t.partition_key, t.priority,
                    min(t.room, 1 + max(budget.room - t.reached, 0)), t.turn, 1
               from turns t cross join budget join durable.workflows w on w.key = t.key
             union all
             select w.key, {known}, w.priority, w.created_at, h.partition_key, h.class, h.most, h.turn, h.round + 1
               from heads h
               join durable.workflows w on w.key = (
                    select n.key from durable.workflows n indexed by durable_workflows_partitions
                     where n.status = 'ENQUEUED' and n.queue = $4 and n.partition_key <> ''
                       and n.partition_key = h.partition_key
                       and (n.priority, n.created_at, n.key) > (h.priority, h.created_at, h.key)
                     order by n.priority, n.created_at, n.key limit 1)
              where h.round < h.most and h.known),
         {kinds},
         keyless as materialized (
             select i.key, i.priority, i.created_at,
                    row_number() over (partition by i.priority order by i.created_at, i.key) as turn
               from (select i.key, i.priority, i.created_at from {keyless}) i)
         select h.key, h.partition_key, h.priority, h.class
           from (select h.key, h.priority, h.created_at, h.partition_key, h.class, h.turn, h.round
                   from heads h where h.known
                 union all
                 select k.key, k.priority, k.created_at, '', k.priority, k.turn, 1 from keyless k) h
           left join durable.queue_turns t on t.queue = $4 and t.priority = h.priority
          where {FENCE_HOLDS}
          order by h.priority, h.round, h.turn, (h.partition_key = '') = coalesce(t.keyless, 1), h.created_at, h.key
          limit {ROOM}",
        is_met = format!("(n.key is not null and (r.stage in (0, 4) or {} <= r.until))", place("n.partition_key")),
        served_place = format!("coalesce({}, '')", place("t.partition_key")),
        place = place("h.partition_key"),
        place_of_next = place("n.partition_key"),
        place_of_key = place("r.partition_key"),
        known_next = is_known("n", 5),
        known = is_known("w", 5),
        is_head = IS_HEAD,
        running = running_of("n.partition_key"),
        kinds = kinds(),
        keyless = of_known_kinds(ROOM)
    );
    /// $1 queue; $2 now; $3 what [`last_served`] gives.
    serve =
        "insert into durable.queue_turns as l (queue, priority, partition_key, keyless, served_at)
         select $1, value ->> 0, value ->> 1, value ->> 2, $2 from json_each($3) where true
         on conflict (queue, priority) do update
            set partition_key = coalesce(nullif(excluded.partition_key, ''), l.partition_key), keyless = excluded.keyless,
                served_at = excluded.served_at";
    /// $1 queue; $2 now.
    forget = format!("delete from durable.queue_turns where queue = $1 and served_at < $2 - {TURNS_REMEMBERED}");
    /// When the rate limits let the next workflow start, if one waits and only they hold it back, and the last start.
    /// Each key may have a window of its own: of those it looks at the ones that become free first. If there are more it
    /// may give a time that is too early. $3 now; $4 queue; $5 known names.
    next_turn = format!(
        "with starts as materialized (
             select s.partition_key, s.started_at, q.partition_rate_period as period
               from durable.queues q cross join durable.queue_starts s
              where q.name = $4 and s.queue = $4 and s.started_at > $3 - q.partition_rate_period
              order by s.started_at limit {WINDOWS_LOOKED_AT} + 1),
         free (at) as (
             select * from (select s.started_at + s.period from starts s order by s.started_at limit 1 offset {WINDOWS_LOOKED_AT})
             union all
             select (select s.started_at + q.partition_rate_period from durable.queue_starts s
                      where s.queue = $4 and s.partition_key = keys.key
                      order by s.started_at desc limit 1
                     offset (select max(coalesce(o.partition_rate_starts, 1) - 1, 0) from durable.queues o where o.name = $4))
               from durable.queues q cross join (
                    select distinct s.partition_key as key
                      from (select * from starts order by started_at limit {WINDOWS_LOOKED_AT}) s) keys
              where q.name = $4 and {running} < coalesce(q.partition_concurrency, 1)
                and (select {known} from durable.workflows h indexed by durable_workflows_partitions
                      where h.status = 'ENQUEUED' and h.queue = $4 and h.partition_key <> '' and h.partition_key = keys.key
                      order by h.priority, h.created_at, h.key limit 1))
         select case when {FULL_UNTIL} > $3 then {FULL_UNTIL} else (select min(at) from free) end as next_at,
                {LAST_START} as last_start
           from durable.queues q
          where q.name = $4 and {waits} and coalesce({RUNNING} < q.concurrency, 1)",
        known = is_known("h", 5),
        running = running_of("keys.key"),
        waits = waits()
    );
}

/// A number in front of all priorities.
const BEFORE_ALL: i64 = -2_147_483_649;

/// The place of a partition key in the turns, as in the index.
fn place(key: &str) -> String {
    let backwards: Vec<String> = (1..=8).map(|number| format!("substr({key}, -{number}, 1)")).collect();
    format!("({} || {key})", backwards.join(" || "))
}

/// Whether the row `n` is the next one of its partition key. A key is met in each of its priorities, and in stage 4 also
/// if it was met before.
const IS_HEAD: &str = "case r.stage when 4 then n.priority > r.class else r.classes = 1 or not exists (
                           select 1 from durable.workflows e indexed by durable_workflows_partitions
                            where e.status = 'ENQUEUED' and e.queue = $4 and e.partition_key <> ''
                              and e.partition_key = n.partition_key and e.priority < r.class) end";

/// How many run of a partition key.
fn running_of(key: &str) -> String {
    format!(
        "(select count(*) from durable.workflows p
           where p.status = 'PENDING' and p.queue = $4 and p.partition_key = {key})"
    )
}

/// How many of the key of the row `n` were started in its window.
const STARTS_OF_NEXT: &str = "(select count(*) from durable.queue_starts s
                                where s.queue = $4 and s.partition_key = n.partition_key
                                  and s.started_at > $3 - q.partition_rate_period)";

impl SqliteStore {
    /// Notes where the turns stand after a claim of these.
    pub(super) async fn note_turns(
        &self,
        connection: &mut SqliteConnection,
        queue: &str,
        now: Timestamp,
        chosen: &[SqliteRow],
    ) -> Result<(), StoreError> {
        let sql = &self.sql.claim_turns;
        let query = self.query(&sql.serve).bind(queue).bind(now).bind(list(&last_served(chosen)?));
        query.execute(&mut *connection).await?;
        self.query(&sql.forget).bind(queue).bind(now).execute(connection).await?;
        Ok(())
    }
}

/// Which key was served last in each priority, `''` where none was, and whether a workflow without a key was after that.
fn last_served(chosen: &[SqliteRow]) -> Result<Vec<(i64, String, bool)>, StoreError> {
    let mut last = BTreeMap::<i64, (String, bool)>::new();
    for row in chosen {
        let (priority, class): (i64, i64) = (row.try_get("priority")?, row.try_get("class")?);
        let key: &str = row.try_get("partition_key")?;
        let (served, keyless) = last.entry(priority).or_default();
        *keyless = key.is_empty();
        if priority == class && !key.is_empty() {
            key.clone_into(served);
        }
    }
    Ok(last.into_iter().map(|(priority, (key, keyless))| (priority, key, keyless)).collect())
}
