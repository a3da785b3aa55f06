with queue as materialized (select * from durable.queues where name = $3::text),
   clock as materialized (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now),
   starts as materialized (
       select s.partition_key, s.started_at from durable.queue_starts s, queue q, clock
        where s.queue = $3::text and s.partition_key >= '' and s.started_at > clock.now - q.partition_rate_period
        order by s.queue, s.started_at limit 50 + 1),
   free (at) as (
       (select s.started_at + q.partition_rate_period from starts s, queue q
         order by s.started_at offset 50 limit 1)
       union all
       select (select s.started_at + q.partition_rate_period from durable.queue_starts s
                where s.queue = $3::text and s.partition_key = keys.key
                order by s.started_at desc
               offset greatest(q.partition_rate_starts - 1, 0) limit 1)
         from queue q, (
              select distinct s.partition_key as key
                from (select * from starts order by started_at limit 50) s) keys
        where (select count(*) from durable.workflows p
     where p.status = 'PENDING' and p.queue = $3::text and p.partition_key = keys.key) < coalesce(q.partition_concurrency, 1)
          and (select (h.name = any($4::text[]) or (h.name || chr(10) || coalesce(h.version, '')) = any($4::text[])) from durable.workflows h
                where h.status = 'ENQUEUED' and h.queue = $3::text and h.partition_key = keys.key
                  and h.partition_key > ''
                order by h.queue, h.partition_key, h.priority, h.created_at, h.key limit 1))
   select case when coalesce((select s.started_at + q.rate_period from durable.queue_starts s
where s.queue = $3::text and s.partition_key >= '' order by s.started_at desc offset greatest(q.rate_starts - 1, 0) limit 1), 0) > clock.now then coalesce((select s.started_at + q.rate_period from durable.queue_starts s
where s.queue = $3::text and s.partition_key >= '' order by s.started_at desc offset greatest(q.rate_starts - 1, 0) limit 1), 0) else (select min(at) from free) end as next_at,
          (select s.started_at from durable.queue_starts s
where s.queue = $3::text and s.partition_key >= '' order by s.started_at desc limit 1) as last_start
     from queue q, clock
    where ((select 1 from (
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
         from kinds where kinds.kind is not null) select 1 from kinds where (kinds.kind = any($4::text[]) or split_part(kinds.kind, chr(10), 1) = any($4::text[])) limit 1) is not null)) and coalesce((select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text) < q.concurrency, true) and exists (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint);
