with queue as materialized (
       select (q.concurrency is not null or q.rate_starts is not null) as limited, q.concurrency, q.worker_concurrency, q.rate_starts, q.rate_period, q.partitioned, q.partition_concurrency, q.partition_rate_starts, q.partition_rate_period, q.paused from durable.queues q where q.name = $3::text),
   head as materialized (select waits, waits and (select h.partition_key from durable.workflows h
where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key > ''
order by h.queue, h.partition_key limit 1) is not null as keyed from (select ((select 1 from (
       select h.name, h.version from durable.workflows h where h.status = 'ENQUEUED' and h.queue = $3::text
        order by h.priority, h.created_at, h.key limit 64) h
     where (h.name = any($4::text[]) or (h.name || chr(10) || coalesce(h.version, '')) = any($4::text[])) limit 1) is not null
    or (select h.key from durable.workflows h where h.status = 'ENQUEUED' and h.queue = $3::text
         order by h.priority, h.created_at, h.key offset 64 limit 1) is not null
       and ((select h.partition_key from durable.workflows h
where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key > ''
order by h.queue, h.partition_key limit 1) is not null or (with recursive kinds (kind) as (
       (select (w.name || chr(10) || coalesce(w.version, '')) from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= '' order by w.queue, (w.name || chr(10) || coalesce(w.version, '')) limit 1)
       union all
       select (select (w.name || chr(10) || coalesce(w.version, '')) from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= '' and (w.name || chr(10) || coalesce(w.version, '')) > kinds.kind
                order by w.queue, (w.name || chr(10) || coalesce(w.version, '')) limit 1)
         from kinds where kinds.kind is not null) select 1 from kinds where (kinds.kind = any($4::text[]) or split_part(kinds.kind, chr(10), 1) = any($4::text[])) limit 1) is not null)) as waits offset 0) h),
   fence as materialized (
       select 1 from durable.executors e, head
        where e.key = $1::bigint and e.epoch = $2::bigint
          and not exists (select 1 from queue where limited or paused) and head.waits and not head.keyed
          for key share of e),
   chosen as materialized (select l.key from (
           select w.ctid as tuple, w.name, w.version, w.partition_key from durable.workflows w
            where w.status = 'ENQUEUED' and w.queue = $3::text and (select count(*) from fence) = 1
            order by w.priority, w.created_at, w.key limit 64 + 2 * $5::bigint) f
        cross join lateral (
           select w.key from durable.workflows w
            where w.ctid = f.tuple and w.status = 'ENQUEUED' for update skip locked) l
        where (f.name = any($4::text[]) or (f.name || chr(10) || coalesce(f.version, '')) = any($4::text[])) and f.partition_key = '' limit $5::bigint),
   taken as (
       update durable.workflows w set status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, deadline = coalesce(w.deadline, case when w.timeout > 253402300799999999 - c.now then 253402300799999999 else c.now + w.timeout end) from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c, (select * from unnest(array(select key from chosen)) limit $5::bigint) as it (key)
        where w.key = it.key
       returning w.key, w.id, w.name, w.instance, w.input, w.attempt, w.forked_from, w.recoveries, w.version, w.fingerprint, w.deadline, w.parent, w.queue, w.partition_key, w.created_at, w.due_at, w.trace_context, w.priority, w.started_at)
   select q.*, t.*, head.keyed, case when (select count(*) from fence) = 1 and (select count(*) from chosen) < $5::bigint then (
        select w.key from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text
         order by w.priority, w.created_at, w.key offset 64 + 2 * $5::bigint limit 1) is not null
        else false end as goes_on,
          case when head.waits and (head.keyed or coalesce(q.limited, false)) and not coalesce(q.paused, false)
               then q.concurrency is null or (select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text) < q.concurrency
               else false end as ready
     from head left join queue q on true left join taken t on true;
