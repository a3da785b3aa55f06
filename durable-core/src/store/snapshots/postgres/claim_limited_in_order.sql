with queue as materialized (select * from durable.queues where name = $3::text),
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
chosen as materialized (select l.key from (
        select w.ctid as tuple, w.name, w.version, w.partition_key from durable.workflows w
         where w.status = 'ENQUEUED' and w.queue = $3::text and (select room from budget) > 0
         order by w.priority, w.created_at, w.key limit 64 + 2 * coalesce((select greatest(room, 0) from budget), 0)) f
     cross join lateral (
        select w.key from durable.workflows w
         where w.ctid = f.tuple and w.status = 'ENQUEUED' for update skip locked) l
     where (f.name = any($4::text[]) or (f.name || chr(10) || coalesce(f.version, '')) = any($4::text[])) and f.partition_key = '' limit coalesce((select greatest(room, 0) from budget), 0)),
taken as (
    update durable.workflows w set status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, deadline = coalesce(w.deadline, case when w.timeout > 253402300799999999 - c.now then 253402300799999999 else c.now + w.timeout end) from clock c, (select * from unnest(array(select key from chosen)) limit $5::bigint) as it (key) where w.key = it.key
    returning w.key, w.id, w.name, w.instance, w.input, w.attempt, w.forked_from, w.recoveries, w.version, w.fingerprint, w.deadline, w.parent, w.queue, w.partition_key, w.created_at, w.due_at, w.trace_context, w.priority, w.started_at),
noted as (
    insert into durable.queue_starts (queue, partition_key, started_at, workflow)
    select $3::text, t.partition_key, t.started_at, t.key from taken t, queue q
     where q.rate_starts is not null or q.partition_rate_starts is not null),
pruned as (
    delete from durable.queue_starts s using queue q, clock
     where s.queue = $3::text and s.partition_key >= ''
       and s.started_at <= clock.now - greatest(coalesce(q.rate_period, 0), coalesce(q.partition_rate_period, 0)))
select clock.now, case when (select room from budget) > 0 and (select count(*) from chosen) < coalesce((select greatest(room, 0) from budget), 0) then (
     select w.key from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text
      order by w.priority, w.created_at, w.key offset 64 + 2 * coalesce((select greatest(room, 0) from budget), 0) limit 1) is not null
     else false end as goes_on, t.* from clock left join taken t on true;
