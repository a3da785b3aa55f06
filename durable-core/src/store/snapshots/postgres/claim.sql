with queue as materialized (
       select (q.concurrency is not null or q.rate_starts is not null or q.partitioned
or q.partition_concurrency is not null or q.partition_rate_starts is not null) as limited, q.concurrency, q.worker_concurrency, q.rate_starts, q.rate_period, q.partitioned, q.partition_concurrency, q.partition_rate_starts, q.partition_rate_period, q.paused from durable.queues q where q.name = $3::text),
   fence as materialized (
       select 1 from durable.executors
        where key = $1::bigint and epoch = $2::bigint
          and not exists (select 1 from queue where limited or paused) and (select h.key from durable.workflows h
where h.status = 'ENQUEUED' and h.queue = $3::text and h.name = any($4::text[])
order by h.priority, h.created_at, h.key limit 1) is not null
          for key share),
   chosen as materialized (
       select w.key from durable.workflows w
        where w.status = 'ENQUEUED' and w.queue = $3::text and w.name = any($4::text[])
          and (select count(*) from fence) = 1
        order by w.priority, w.created_at, w.key limit $5::bigint for update skip locked),
   taken as (
       update durable.workflows w set status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, deadline = coalesce(w.deadline, case when w.timeout > 253402300799999999 - c.now then 253402300799999999 else c.now + w.timeout end) from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c, (select * from unnest(array(select key from chosen)) limit $5::bigint) as it (key)
        where w.key = it.key
       returning w.key, w.id, w.name, w.instance, w.input, w.attempt, w.recoveries, w.fingerprint, w.deadline, w.parent, w.queue, w.priority, w.created_at, w.partition_key, w.started_at)
   select q.*, t.*,
          coalesce(q.limited and not q.paused, false)
          and case when q.limited then (select h.key from durable.workflows h
where h.status = 'ENQUEUED' and h.queue = $3::text and h.name = any($4::text[])
order by h.priority, h.created_at, h.key limit 1) is not null and coalesce((select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text) < q.concurrency, true) end as ready
     from (select 1) one left join queue q on true left join taken t on true;
