with starts as materialized (
       select s.partition_key, s.started_at, q.partition_rate_period as period
         from durable_queues q cross join durable_queue_starts s
        where q.name = ?4 and s.queue = ?4 and s.started_at > ?3 - q.partition_rate_period
        order by s.started_at limit 50 + 1),
   free (at) as (
       select * from (select s.started_at + s.period from starts s order by s.started_at limit 1 offset 50)
       union all
       select (select s.started_at + q.partition_rate_period from durable_queue_starts s
                where s.queue = ?4 and s.partition_key = keys.key
                order by s.started_at desc limit 1
               offset (select max(coalesce(o.partition_rate_starts, 1) - 1, 0) from durable_queues o where o.name = ?4))
         from durable_queues q cross join (
              select distinct s.partition_key as key
                from (select * from starts order by started_at limit 50) s) keys
        where q.name = ?4 and (select count(*) from durable_workflows p
     where p.status = 'PENDING' and p.queue = ?4 and p.partition_key = keys.key) < coalesce(q.partition_concurrency, 1)
          and (select (h.name in (select value from json_each(?5)) or (h.name || char(10) || coalesce(h.version, '')) in (select value from json_each(?5))) from durable_workflows h indexed by durable_workflows_partitions
                where h.status = 'ENQUEUED' and h.queue = ?4 and h.partition_key <> '' and h.partition_key = keys.key
                order by h.priority, h.created_at, h.key limit 1))
   select case when coalesce((select s.started_at + q.rate_period from durable_queue_starts s
where s.queue = ?4 order by s.started_at desc
limit 1 offset (select max(coalesce(o.rate_starts, 1) - 1, 0) from durable_queues o where o.name = ?4)), 0) > ?3 then coalesce((select s.started_at + q.rate_period from durable_queue_starts s
where s.queue = ?4 order by s.started_at desc
limit 1 offset (select max(coalesce(o.rate_starts, 1) - 1, 0) from durable_queues o where o.name = ?4)), 0) else (select min(at) from free) end as next_at,
          (select max(s.started_at) from durable_queue_starts s where s.queue = ?4) as last_start
     from durable_queues q
    where q.name = ?4 and (exists (
    select 1 from (
           select h.name, h.version from durable_workflows h indexed by durable_workflows_enqueued
            where h.status = 'ENQUEUED' and h.queue = ?4
            order by h.priority, h.created_at, h.key limit 300) h
     where (h.name in (select value from json_each(?5)) or (h.name || char(10) || coalesce(h.version, '')) in (select value from json_each(?5))))
 or exists (select 1 from durable_workflows h indexed by durable_workflows_enqueued
where h.status = 'ENQUEUED' and h.queue = ?4 order by h.priority, h.created_at, h.key limit 1 offset 300) and (exists (select 1 from durable_workflows h indexed by durable_workflows_partitions
where h.status = 'ENQUEUED' and h.queue = ?4 and h.partition_key <> '') or exists (with recursive kinds (kind) as (
       select (select (w.name || char(10) || coalesce(w.version, '')) from durable_workflows w indexed by durable_workflows_keyless
           where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' order by (w.name || char(10) || coalesce(w.version, '')) limit 1)
       union all
       select (select (w.name || char(10) || coalesce(w.version, '')) from durable_workflows w indexed by durable_workflows_keyless
           where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' and (w.name || char(10) || coalesce(w.version, '')) > kinds.kind order by (w.name || char(10) || coalesce(w.version, '')) limit 1)
         from kinds where kinds.kind is not null) select 1 from kinds where (kinds.kind in (select value from json_each(?5)) or substr(kinds.kind, 1, instr(kinds.kind, char(10)) - 1) in (select value from json_each(?5)))))) and coalesce((select count(*) from durable_workflows p where p.status = 'PENDING' and p.queue = ?4) < q.concurrency, 1);
