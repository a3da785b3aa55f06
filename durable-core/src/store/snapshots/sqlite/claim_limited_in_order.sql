with
budget (room) as (
    select min(?6,
               case when q.concurrency is null then ?6 else q.concurrency - (
                    select count(*) from durable_workflows p where p.status = 'PENDING' and p.queue = ?4) end,
               case when q.rate_starts is null then ?6 else q.rate_starts - (
                    select count(*) from durable_queue_starts s where s.queue = ?4 and s.started_at > ?3 - q.rate_period) end)
      from durable_queues q where q.name = ?4 and not q.paused) select f.key, coalesce((select max(room, 0) from budget), 0) as room from (select w.key, w.name, w.version, w.partition_key from durable_workflows w indexed by durable_workflows_enqueued
       where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' and exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
       order by w.priority, w.created_at, w.key limit 300) f where (f.name in (select value from json_each(?5)) or (f.name || char(10) || coalesce(f.version, '')) in (select value from json_each(?5))) limit coalesce((select max(room, 0) from budget), 0);
