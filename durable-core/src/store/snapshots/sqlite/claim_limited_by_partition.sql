with recursive
budget (room) as (
    select min(?6,
               case when q.concurrency is null then ?6 else q.concurrency - (
                    select count(*) from durable_workflows p where p.status = 'PENDING' and p.queue = ?4) end,
               case when q.rate_starts is null then ?6 else q.rate_starts - (
                    select count(*) from durable_queue_starts s where s.queue = ?4 and s.started_at > ?3 - q.rate_period) end)
      from durable_queues q where q.name = ?4 and not q.paused),
keys (key) as (
    select (select w.partition_key from durable_workflows w indexed by durable_workflows_partitions
             where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key > ''
             order by w.partition_key limit 1)
    union all
    select (select w.partition_key from durable_workflows w indexed by durable_workflows_partitions
             where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key > keys.key
             order by w.partition_key limit 1)
      from keys where keys.key is not null),
     turns (partition_key, served_at, room) as (
         select keys.key, p.served_at,
                min(budget.room, coalesce(q.partition_concurrency, 1) - (select count(*) from durable_workflows p
  where p.status = 'PENDING' and p.queue = ?4 and p.partition_key = keys.key),
                    coalesce(q.partition_rate_starts - (select count(*) from durable_queue_starts s
  where s.queue = ?4 and s.partition_key = keys.key and s.started_at > ?3 - q.partition_rate_period), budget.room))
           from budget, durable_queues q, keys
           left join durable_queue_partitions p on p.queue = ?4 and p.partition_key = keys.key
          where q.name = ?4 and keys.key is not null and budget.room > 0),
     heads (key, known, priority, created_at, partition_key, room, since, round) as (
         select w.key, (w.name in (select value from json_each(?5)) or (w.name || char(10) || coalesce(w.version, '')) in (select value from json_each(?5))), w.priority, w.created_at, t.partition_key, t.room, coalesce(t.served_at, w.created_at), 1
           from turns t
           join durable_workflows w on w.key = (
                select n.key from durable_workflows n indexed by durable_workflows_partitions
                 where n.status = 'ENQUEUED' and n.queue = ?4 and n.partition_key = t.partition_key
                 order by n.priority, n.created_at, n.key limit 1)
          where t.room > 0
         union all
         select w.key, (w.name in (select value from json_each(?5)) or (w.name || char(10) || coalesce(w.version, '')) in (select value from json_each(?5))), w.priority, w.created_at, h.partition_key, h.room, h.since, h.round + 1
           from heads h
           join durable_workflows w on w.key = (
                select n.key from durable_workflows n indexed by durable_workflows_partitions
                 where n.status = 'ENQUEUED' and n.queue = ?4 and n.partition_key = h.partition_key
                   and (n.priority, n.created_at, n.key) > (h.priority, h.created_at, h.key)
                 order by n.priority, n.created_at, n.key limit 1)
          where h.round < h.room and h.known)
     select h.key, h.partition_key
       from (select h.key, h.known, h.priority, h.created_at, h.partition_key, h.since, h.round from heads h
             union all
             select * from (
                    select w.key, 1, w.priority, w.created_at, '', w.created_at, 1
                      from durable_workflows w indexed by durable_workflows_partitions
                     where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = ''
                       and (w.name in (select value from json_each(?5)) or (w.name || char(10) || coalesce(w.version, '')) in (select value from json_each(?5)))
                     order by w.priority, w.created_at, w.key
                     limit coalesce((select max(room, 0) from budget), 0))) h
      where h.known and exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
      order by h.priority, h.round, h.since, h.created_at, h.key limit coalesce((select max(room, 0) from budget), 0);
