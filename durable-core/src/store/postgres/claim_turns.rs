//! Claims in Postgres from queues on which workflows with partition keys wait: the keys take turns. The caller holds the
//! lock of the queue.
//!
//! A claim goes from key to key until it has as many as it may start, priority by priority, and begins in each behind the
//! key that was served last. So it costs by what it takes, and by the keys that it passes over: those with as many running
//! or started as their limits allow, and those whose next workflow the caller does not know.

use crate::store::postgres::claim::{RUNNING, kinds, of_known_kinds, rows_by_place, waits};
use crate::store::postgres::claim_limited::{FULL_UNTIL, LAST_START, ROOM, budget, start_and_count};
use crate::store::postgres::dialect::{FENCE_SEEN, is_known};
use crate::store::rows_by_kind::{PRIORITIES_IN_TURNS, TURNS_REMEMBERED, WINDOWS_LOOKED_AT};
use crate::store::sql::sql_statements;

sql_statements! {
    /// Claims all workflows, those of a partition key in their order, and of one priority the keys in turns. Those
    /// without a key take turns with the keys, one by one. A key with a locked row is skipped.
    ///
    /// `rotation` has one row for each step. In stage 0 it goes from the key that was served last to the last one, in
    /// stage 1 from the first one to that, in stage 2 to the next priority, and 3 is the end. Behind many priorities it
    /// goes through all keys instead, in stage 4: a key may have a workflow in each.
    by_partition_turns = format!(
        "with recursive {budget},
         rotation (class, stage, place, until, key, tuple, priority, created_at, partition_key, room, ready, classes) as (
             select {BEFORE_ALL}, 2, '' collate \"C\", '' collate \"C\", null::bigint, null::tid, null::bigint, null::bigint,
                    null::text, 0::bigint, 0::bigint, 0
               from budget where room > 0
             union all
             select coalesce(class.priority, r.class), step.stage,
                    case when r.stage = 2 and step.stage = 0 then coalesce(served.place, '')
                         when hit.yes then case r.stage when 4 then n.partition_key else n.place end
                         when step.stage in (1, 4) then ''
                         else r.place end,
                    case when r.stage in (2, 4) then coalesce(served.place, '') else r.until end,
                    n.key, n.tuple, n.priority, n.created_at, n.partition_key, can.start,
                    r.ready + (can.start > 0)::int, r.classes + (r.stage = 2)::int
               from rotation r cross join budget cross join queue q cross join clock
               left join lateral (
                    (select {next} from durable.workflows h
                      where r.stage < 2 and h.status = 'ENQUEUED' and h.queue = $3::text and h.priority = r.class
                        and h.partition_key > '' and h.name >= '' and {place_of} > r.place
                      order by h.queue, h.priority, {place_of}, h.created_at, h.key limit 1)
                    union all
                    (select {next} from durable.workflows h
                      where r.stage = 4 and h.status = 'ENQUEUED' and h.queue = $3::text
                        and h.partition_key > '' and h.partition_key > r.place collate \"default\"
                      order by h.queue, h.partition_key, h.priority, h.created_at, h.key limit 1)) n on true
               left join lateral (
                    select h.priority::bigint as priority from durable.workflows h
                     where r.stage = 2 and r.classes < {PRIORITIES_IN_TURNS} and h.status = 'ENQUEUED' and h.queue = $3::text
                       and h.partition_key > '' and h.name >= '' and h.priority > r.class
                     order by h.queue, h.priority limit 1) class on true
               left join lateral (
                    select {served_place} as place from durable.queue_turns t
                     where t.queue = $3::text and t.priority = coalesce(class.priority, case r.stage when 4 then n.priority end)
                    offset 0) served on true
              cross join lateral (
                    select n.key is not null and (r.stage in (0, 4) or n.place <= r.until) as yes offset 0) hit
              cross join lateral (
                    select case when hit.yes then r.stage
                                when r.stage = 2 and class.priority is not null then 0
                                when r.stage = 2 and r.classes >= {PRIORITIES_IN_TURNS} then 4
                                when r.stage in (2, 4) then 3
                                when r.stage = 0 and r.until > '' then 1
                                else 2 end as stage offset 0) step
              cross join lateral (
                    select case when hit.yes and {known_next} and {is_head}
                                then least(budget.room, coalesce(q.partition_concurrency, 1) - {running},
                                           q.partition_rate_starts - {STARTS_OF_NEXT})
                                else 0 end as start offset 0) can
              where r.stage <> 3 and (r.ready < budget.room or r.stage = 4)),
         turns as materialized (
             select r.*, row_number() over (
                        partition by r.priority order by {place_of_key} <= r.until, {place_of_key}) as turn,
                    count(*) over (order by r.priority) as reached
               from rotation r where r.room > 0),
         heads as materialized (
             select t.key, t.tuple, t.priority, t.created_at, t.partition_key, t.priority as class, 1::bigint as round, t.turn
               from turns t
             union all
             select i.key, i.tuple, i.priority, i.created_at, t.partition_key, t.priority, i.round, t.turn
               from turns t cross join budget
              cross join lateral (
                    select w.key, w.tuple, w.priority, w.created_at, row_number() over line as round,
                           bool_and({known_in_line}) over line as known
                      from (select w.*, w.ctid as tuple from durable.workflows w
                             where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = t.partition_key
                               and w.partition_key > ''
                             order by w.queue, w.partition_key, w.priority, w.created_at, w.key
                             limit least(t.room, budget.room - t.reached + 1)) w
                    window line as (order by w.priority, w.created_at, w.key)) i
              where t.room > 1 and t.reached < budget.room and i.round > 1 and i.known),
         {kinds},
         keyless as materialized (
             select i.*, row_number() over (partition by i.priority order by i.created_at, i.key) as turn
               from ({keyless}) i),
         wanted as materialized (
             select h.key, h.tuple, h.partition_key, h.priority, h.class, h.round,
                    row_number() over (
                        order by h.priority, h.round, h.turn, (h.partition_key = '') = coalesce(t.keyless, true),
                                 h.created_at, h.key) as turn
               from (select * from heads
                     union all
                     select k.key, k.tuple, k.priority, k.created_at, '', k.priority, 1, k.turn from keyless k) h
               left join lateral (
                    select t.keyless from durable.queue_turns t
                     where t.queue = $3::text and t.priority = h.priority offset 0) t on true
              order by turn
              limit {ROOM}),
         locked as materialized (
             select w.key from durable.workflows w, clock, {wanted_places}
              where w.ctid = it.tuple and w.status = clock.waiting
                for update of w skip locked),
         chosen as materialized (
             select w.tuple from wanted w
              where w.key in (select key from locked)
                and (w.partition_key = '' or not exists (
                    select 1 from wanted earlier
                     where earlier.partition_key = w.partition_key and earlier.round < w.round
                       and earlier.key not in (select key from locked)))),
         {take},
         served as (
             insert into durable.queue_turns as l (queue, priority, partition_key, keyless, served_at)
             select $3::text, w.priority,
                    coalesce((array_agg(w.partition_key order by w.turn desc)
                              filter (where w.partition_key > '' and w.class = w.priority))[1], ''),
                    (array_agg(w.partition_key = '' order by w.turn desc))[1], max(t.started_at)
               from taken t join wanted w on w.key = t.key
              group by w.priority
             on conflict (queue, priority) do update
                set partition_key = coalesce(nullif(excluded.partition_key, ''), l.partition_key),
                    keyless = excluded.keyless, served_at = excluded.served_at),
         forgotten as (
             delete from durable.queue_turns l using (
                    select o.priority from durable.queue_turns o, clock
                     where o.queue = $3::text and o.served_at < clock.now - {TURNS_REMEMBERED}
                       and o.priority not in (select priority from taken)
                     order by o.served_at limit 2 * $5::bigint) o
              where l.queue = $3::text and l.priority = o.priority)
         select clock.now, t.* from clock left join taken t on true",
        budget = budget(),
        next = format!(
            "h.key, h.ctid as tuple, h.name, h.version, h.partition_key, h.priority::bigint as priority, h.created_at,
                    {} as place",
            place("h.partition_key")
        ),
        place_of = place("h.partition_key"),
        served_place = place("t.partition_key"),
        place_of_key = place("r.partition_key"),
        known_next = is_known("n", 4),
        running = running_of("n.partition_key"),
        is_head = IS_HEAD,
        known_in_line = is_known("w", 4),
        kinds = kinds(),
        keyless = of_known_kinds("w.key, w.ctid as tuple, w.priority, w.created_at", ROOM, ""),
        wanted_places = rows_by_place("wanted", "$5::bigint"),
        take = start_and_count(&format!(", {} where w.ctid = it.tuple", rows_by_place("chosen", "$5::bigint")))
    );
    /// When the rate limits let the next workflow start, if one waits and only they hold it back, and the last start.
    /// Each key may have a window of its own: of those it looks at the ones that become free first. If there are more it
    /// may give a time that is too early. $1, $2 fence; $3 queue; $4 known names.
    next_turn = format!(
        "with queue as materialized (select * from durable.queues where name = $3::text),
         clock as materialized (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now),
         starts as materialized (
             select s.partition_key, s.started_at from durable.queue_starts s, queue q, clock
              where s.queue = $3::text and s.partition_key >= '' and s.started_at > clock.now - q.partition_rate_period
              order by s.queue, s.started_at limit {WINDOWS_LOOKED_AT} + 1),
         free (at) as (
             (select s.started_at + q.partition_rate_period from starts s, queue q
               order by s.started_at offset {WINDOWS_LOOKED_AT} limit 1)
             union all
             select (select s.started_at + q.partition_rate_period from durable.queue_starts s
                      where s.queue = $3::text and s.partition_key = keys.key
                      order by s.started_at desc
                     offset greatest(q.partition_rate_starts - 1, 0) limit 1)
               from queue q, (
                    select distinct s.partition_key as key
                      from (select * from starts order by started_at limit {WINDOWS_LOOKED_AT}) s) keys
              where {running} < coalesce(q.partition_concurrency, 1)
                and (select {known} from durable.workflows h
                      where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key = keys.key
                        and h.partition_key > ''
                      order by h.queue, h.partition_key, h.priority, h.created_at, h.key limit 1))
         select case when {FULL_UNTIL} > clock.now then {FULL_UNTIL} else (select min(at) from free) end as next_at,
                {LAST_START} as last_start
           from queue q, clock
          where {waits} and coalesce({RUNNING} < q.concurrency, true) and {FENCE_SEEN}",
        known = is_known("h", 4),
        running = running_of("keys.key"),
        waits = waits()
    );
}

/// A number in front of all priorities.
const BEFORE_ALL: &str = "(-2147483649)::bigint";

/// The place of a partition key in the turns, as in the index.
fn place(key: &str) -> String {
    format!("reverse({key}) collate \"C\"")
}

/// Whether the row `n` is the next one of its partition key. A key is met in each of its priorities, and in stage 4 also
/// if it was met before.
const IS_HEAD: &str = "case r.stage when 4 then n.priority > r.class else r.classes = 1 or not exists (
                           select 1 from durable.workflows e
                            where e.status = 'ENQUEUED' and e.queue = $3::text and e.partition_key = n.partition_key
                              and e.partition_key > '' and e.priority < r.class) end";

/// How many run of a partition key.
fn running_of(key: &str) -> String {
    format!(
        "(select count(*) from durable.workflows p
           where p.status = 'PENDING' and p.queue = $3::text and p.partition_key = {key})"
    )
}

/// How many of the key of the row `n` were started in its window.
const STARTS_OF_NEXT: &str = "(select count(*) from (
                                   select 1 from durable.queue_starts s
                                    where s.queue = $3::text and s.partition_key = n.partition_key
                                      and s.started_at > clock.now - q.partition_rate_period
                                    limit q.partition_rate_starts) s)";
