with recursive queue as materialized (select * from durable.queues where name = $3::text),
clock as materialized (select now, 'ENQUEUED' as waiting from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
budget as materialized (
    select least($5::bigint,
                 case when q.concurrency is not null then q.concurrency - (select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text) end,
                 case when q.rate_starts is not null then q.rate_starts - (
                      select count(*) from durable.queue_starts s
                       where s.queue = $3::text and s.partition_key >= '' and s.started_at > clock.now - q.rate_period) end) as room
      from queue q, clock, fence
     where not q.paused),
rotation (class, stage, place, until, key, tuple, priority, created_at, partition_key, room, ready, classes) as (
    select (-2147483649)::bigint, 2, '' collate "C", '' collate "C", null::bigint, null::tid, null::bigint, null::bigint,
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
           (select h.key, h.ctid as tuple, h.name, h.version, h.partition_key, h.priority::bigint as priority, h.created_at,
           reverse(h.partition_key) collate "C" as place from durable.workflows h
             where r.stage < 2 and h.status = 'ENQUEUED' and h.queue = $3::text and h.priority = r.class
               and h.partition_key > '' and h.name >= '' and reverse(h.partition_key) collate "C" > r.place
             order by h.queue, h.priority, reverse(h.partition_key) collate "C", h.created_at, h.key limit 1)
           union all
           (select h.key, h.ctid as tuple, h.name, h.version, h.partition_key, h.priority::bigint as priority, h.created_at,
           reverse(h.partition_key) collate "C" as place from durable.workflows h
             where r.stage = 4 and h.status = 'ENQUEUED' and h.queue = $3::text
               and h.partition_key > '' and h.partition_key > r.place collate "default"
             order by h.queue, h.partition_key, h.priority, h.created_at, h.key limit 1)) n on true
      left join lateral (
           select h.priority::bigint as priority from durable.workflows h
            where r.stage = 2 and r.classes < 32 and h.status = 'ENQUEUED' and h.queue = $3::text
              and h.partition_key > '' and h.name >= '' and h.priority > r.class
            order by h.queue, h.priority limit 1) class on true
      left join lateral (
           select reverse(t.partition_key) collate "C" as place from durable.queue_turns t
            where t.queue = $3::text and t.priority = coalesce(class.priority, case r.stage when 4 then n.priority end)
           offset 0) served on true
     cross join lateral (
           select n.key is not null and (r.stage in (0, 4) or n.place <= r.until) as yes offset 0) hit
     cross join lateral (
           select case when hit.yes then r.stage
                       when r.stage = 2 and class.priority is not null then 0
                       when r.stage = 2 and r.classes >= 32 then 4
                       when r.stage in (2, 4) then 3
                       when r.stage = 0 and r.until > '' then 1
                       else 2 end as stage offset 0) step
     cross join lateral (
           select case when hit.yes and (n.name = any($4::text[]) or (n.name || chr(10) || coalesce(n.version, '')) = any($4::text[])) and case r.stage when 4 then n.priority > r.class else r.classes = 1 or not exists (
                  select 1 from durable.workflows e
                   where e.status = 'ENQUEUED' and e.queue = $3::text and e.partition_key = n.partition_key
                     and e.partition_key > '' and e.priority < r.class) end
                       then least(budget.room, coalesce(q.partition_concurrency, 1) - (select count(*) from durable.workflows p
  where p.status = 'PENDING' and p.queue = $3::text and p.partition_key = n.partition_key),
                                  q.partition_rate_starts - (select count(*) from (
                          select 1 from durable.queue_starts s
                           where s.queue = $3::text and s.partition_key = n.partition_key
                             and s.started_at > clock.now - q.partition_rate_period
                           limit q.partition_rate_starts) s))
                       else 0 end as start offset 0) can
     where r.stage <> 3 and (r.ready < budget.room or r.stage = 4)),
turns as materialized (
    select r.*, row_number() over (
               partition by r.priority order by reverse(r.partition_key) collate "C" <= r.until, reverse(r.partition_key) collate "C") as turn,
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
                  bool_and((w.name = any($4::text[]) or (w.name || chr(10) || coalesce(w.version, '')) = any($4::text[]))) over line as known
             from (select w.*, w.ctid as tuple from durable.workflows w
                    where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = t.partition_key
                      and w.partition_key > ''
                    order by w.queue, w.partition_key, w.priority, w.created_at, w.key
                    limit least(t.room, budget.room - t.reached + 1)) w
           window line as (order by w.priority, w.created_at, w.key)) i
     where t.room > 1 and t.reached < budget.room and i.round > 1 and i.known),
kinds (kind) as (
    (select (w.name || chr(10) || coalesce(w.version, '')) from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= '' order by w.queue, (w.name || chr(10) || coalesce(w.version, '')) limit 1)
    union all
    select (select (w.name || chr(10) || coalesce(w.version, '')) from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= '' and (w.name || chr(10) || coalesce(w.version, '')) > kinds.kind
             order by w.queue, (w.name || chr(10) || coalesce(w.version, '')) limit 1)
      from kinds where kinds.kind is not null),
keyless as materialized (
    select i.*, row_number() over (partition by i.priority order by i.created_at, i.key) as turn
      from (select i.* from kinds
 cross join lateral (
       select w.key, w.ctid as tuple, w.priority, w.created_at from durable.workflows w
        where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= ''
          and (w.name || chr(10) || coalesce(w.version, '')) = kinds.kind
        order by w.queue, (w.name || chr(10) || coalesce(w.version, '')), w.priority, w.created_at, w.key limit coalesce((select greatest(room, 0) from budget), 0) ) i
 where (kinds.kind = any($4::text[]) or split_part(kinds.kind, chr(10), 1) = any($4::text[]))
 order by i.priority, i.created_at, i.key limit coalesce((select greatest(room, 0) from budget), 0)) i),
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
     limit coalesce((select greatest(room, 0) from budget), 0)),
locked as materialized (
    select w.key from durable.workflows w, clock, (select * from unnest(array(select tuple from wanted)) limit $5::bigint) as it (tuple)
     where w.ctid = it.tuple and w.status = clock.waiting
       for update of w skip locked),
chosen as materialized (
    select w.tuple from wanted w
     where w.key in (select key from locked)
       and (w.partition_key = '' or not exists (
           select 1 from wanted earlier
            where earlier.partition_key = w.partition_key and earlier.round < w.round
              and earlier.key not in (select key from locked)))),
taken as (
    update durable.workflows w set status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, deadline = coalesce(w.deadline, case when w.timeout > 253402300799999999 - c.now then 253402300799999999 else c.now + w.timeout end) from clock c, (select * from unnest(array(select tuple from chosen)) limit $5::bigint) as it (tuple) where w.ctid = it.tuple
    returning w.key, w.id, w.name, w.instance, w.input, w.attempt, w.forked_from, w.recoveries, w.version, w.fingerprint, w.deadline, w.parent, w.queue, w.partition_key, w.created_at, w.due_at, w.trace_context, w.priority, w.started_at),
noted as (
    insert into durable.queue_starts (queue, partition_key, started_at, workflow)
    select $3::text, t.partition_key, t.started_at, t.key from taken t, queue q
     where q.rate_starts is not null or q.partition_rate_starts is not null),
pruned as (
    delete from durable.queue_starts s using queue q, clock
     where s.queue = $3::text and s.partition_key >= ''
       and s.started_at <= clock.now - greatest(coalesce(q.rate_period, 0), coalesce(q.partition_rate_period, 0))),
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
            where o.queue = $3::text and o.served_at < clock.now - 3600000000
              and o.priority not in (select priority from taken)
            order by o.served_at limit 2 * $5::bigint) o
     where l.queue = $3::text and l.priority = o.priority)
select clock.now, t.* from clock left join taken t on true;
