with recursive
budget (room) as (
    select min(?6,
               case when q.concurrency is null then ?6 else q.concurrency - (
                    select count(*) from durable_workflows p where p.status = 'PENDING' and p.queue = ?4) end,
               case when q.rate_starts is null then ?6 else q.rate_starts - (
                    select count(*) from durable_queue_starts s where s.queue = ?4 and s.started_at > ?3 - q.rate_period) end)
      from durable_queues q where q.name = ?4 and not q.paused),
     rotation (class, stage, place, until, key, priority, partition_key, room, ready, classes) as (
         select -2147483649, 2, '', '', null, null, null, 0, 0, 0 from budget where room > 0 and exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
         union all
         select coalesce(class.priority, r.class),
                case when (n.key is not null and (r.stage in (0, 4) or (substr(n.partition_key, -1, 1) || substr(n.partition_key, -2, 1) || substr(n.partition_key, -3, 1) || substr(n.partition_key, -4, 1) || substr(n.partition_key, -5, 1) || substr(n.partition_key, -6, 1) || substr(n.partition_key, -7, 1) || substr(n.partition_key, -8, 1) || n.partition_key) <= r.until)) then r.stage
                     when class.key is not null then 0
                     when r.stage = 2 and r.classes >= 32 then 4
                     when r.stage in (2, 4) then 3
                     when r.stage = 0 and r.until > '' then 1
                     else 2 end,
                case when class.key is not null then coalesce((substr(t.partition_key, -1, 1) || substr(t.partition_key, -2, 1) || substr(t.partition_key, -3, 1) || substr(t.partition_key, -4, 1) || substr(t.partition_key, -5, 1) || substr(t.partition_key, -6, 1) || substr(t.partition_key, -7, 1) || substr(t.partition_key, -8, 1) || t.partition_key), '')
                     when (n.key is not null and (r.stage in (0, 4) or (substr(n.partition_key, -1, 1) || substr(n.partition_key, -2, 1) || substr(n.partition_key, -3, 1) || substr(n.partition_key, -4, 1) || substr(n.partition_key, -5, 1) || substr(n.partition_key, -6, 1) || substr(n.partition_key, -7, 1) || substr(n.partition_key, -8, 1) || n.partition_key) <= r.until)) then case r.stage when 4 then n.partition_key else (substr(n.partition_key, -1, 1) || substr(n.partition_key, -2, 1) || substr(n.partition_key, -3, 1) || substr(n.partition_key, -4, 1) || substr(n.partition_key, -5, 1) || substr(n.partition_key, -6, 1) || substr(n.partition_key, -7, 1) || substr(n.partition_key, -8, 1) || n.partition_key) end
                     else '' end,
                case when r.stage in (2, 4) then coalesce((substr(t.partition_key, -1, 1) || substr(t.partition_key, -2, 1) || substr(t.partition_key, -3, 1) || substr(t.partition_key, -4, 1) || substr(t.partition_key, -5, 1) || substr(t.partition_key, -6, 1) || substr(t.partition_key, -7, 1) || substr(t.partition_key, -8, 1) || t.partition_key), '') else r.until end,
                n.key, n.priority, n.partition_key,
                case when (n.key is not null and (r.stage in (0, 4) or (substr(n.partition_key, -1, 1) || substr(n.partition_key, -2, 1) || substr(n.partition_key, -3, 1) || substr(n.partition_key, -4, 1) || substr(n.partition_key, -5, 1) || substr(n.partition_key, -6, 1) || substr(n.partition_key, -7, 1) || substr(n.partition_key, -8, 1) || n.partition_key) <= r.until)) and (n.name in (select value from json_each(?5)) or (n.name || char(10) || coalesce(n.version, '')) in (select value from json_each(?5))) and case r.stage when 4 then n.priority > r.class else r.classes = 1 or not exists (
                       select 1 from durable_workflows e indexed by durable_workflows_partitions
                        where e.status = 'ENQUEUED' and e.queue = ?4 and e.partition_key <> ''
                          and e.partition_key = n.partition_key and e.priority < r.class) end
                     then min(budget.room, coalesce(q.partition_concurrency, 1) - (select count(*) from durable_workflows p
       where p.status = 'PENDING' and p.queue = ?4 and p.partition_key = n.partition_key),
                              coalesce(q.partition_rate_starts - (select count(*) from durable_queue_starts s
                            where s.queue = ?4 and s.partition_key = n.partition_key
                              and s.started_at > ?3 - q.partition_rate_period), budget.room))
                     else 0 end,
                r.ready + (r.room > 0), r.classes + (r.stage = 2)
           from rotation r cross join budget cross join durable_queues q
           left join durable_workflows n on n.key = case
                when r.stage < 2 then (
                     select h.key from durable_workflows h indexed by durable_workflows_turns
                      where h.status = 'ENQUEUED' and h.queue = ?4 and h.priority = r.class and h.partition_key <> ''
                        and (substr(h.partition_key, -1, 1) || substr(h.partition_key, -2, 1) || substr(h.partition_key, -3, 1) || substr(h.partition_key, -4, 1) || substr(h.partition_key, -5, 1) || substr(h.partition_key, -6, 1) || substr(h.partition_key, -7, 1) || substr(h.partition_key, -8, 1) || h.partition_key) > r.place
                      order by (substr(h.partition_key, -1, 1) || substr(h.partition_key, -2, 1) || substr(h.partition_key, -3, 1) || substr(h.partition_key, -4, 1) || substr(h.partition_key, -5, 1) || substr(h.partition_key, -6, 1) || substr(h.partition_key, -7, 1) || substr(h.partition_key, -8, 1) || h.partition_key), h.created_at, h.key limit 1)
                when r.stage = 4 then (
                     select h.key from durable_workflows h indexed by durable_workflows_partitions
                      where h.status = 'ENQUEUED' and h.queue = ?4 and h.partition_key <> '' and h.partition_key > r.place
                      order by h.partition_key, h.priority, h.created_at, h.key limit 1) end
           left join durable_workflows class on class.key = case
                when r.stage = 2 and r.classes < 32 then (
                     select h.key from durable_workflows h indexed by durable_workflows_turns
                      where h.status = 'ENQUEUED' and h.queue = ?4 and h.priority > r.class and h.partition_key <> ''
                      order by h.priority limit 1) end
           left join durable_queue_turns t on t.queue = ?4
                and t.priority = coalesce(class.priority, case r.stage when 4 then n.priority end)
          where q.name = ?4 and r.stage <> 3 and (r.ready + (r.room > 0) < budget.room or r.stage = 4)),
     turns as materialized (
         select r.key, r.priority, r.partition_key, r.room,
                row_number() over (
                    partition by r.priority order by (substr(r.partition_key, -1, 1) || substr(r.partition_key, -2, 1) || substr(r.partition_key, -3, 1) || substr(r.partition_key, -4, 1) || substr(r.partition_key, -5, 1) || substr(r.partition_key, -6, 1) || substr(r.partition_key, -7, 1) || substr(r.partition_key, -8, 1) || r.partition_key) <= r.until, (substr(r.partition_key, -1, 1) || substr(r.partition_key, -2, 1) || substr(r.partition_key, -3, 1) || substr(r.partition_key, -4, 1) || substr(r.partition_key, -5, 1) || substr(r.partition_key, -6, 1) || substr(r.partition_key, -7, 1) || substr(r.partition_key, -8, 1) || r.partition_key)) as turn,
                count(*) over (order by r.priority) as reached
           from rotation r where r.room > 0),
     heads (key, known, priority, created_at, partition_key, class, most, turn, round) as (
         select w.key, 1, w.priority, w.created_at, t.partition_key, t.priority,
                min(t.room, 1 + max(budget.room - t.reached, 0)), t.turn, 1
           from turns t cross join budget join durable_workflows w on w.key = t.key
         union all
         select w.key, (w.name in (select value from json_each(?5)) or (w.name || char(10) || coalesce(w.version, '')) in (select value from json_each(?5))), w.priority, w.created_at, h.partition_key, h.class, h.most, h.turn, h.round + 1
           from heads h
           join durable_workflows w on w.key = (
                select n.key from durable_workflows n indexed by durable_workflows_partitions
                 where n.status = 'ENQUEUED' and n.queue = ?4 and n.partition_key <> ''
                   and n.partition_key = h.partition_key
                   and (n.priority, n.created_at, n.key) > (h.priority, h.created_at, h.key)
                 order by n.priority, n.created_at, n.key limit 1)
          where h.round < h.most and h.known),
     kinds (kind) as (
         select (select (w.name || char(10) || coalesce(w.version, '')) from durable_workflows w indexed by durable_workflows_keyless
             where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' order by (w.name || char(10) || coalesce(w.version, '')) limit 1)
         union all
         select (select (w.name || char(10) || coalesce(w.version, '')) from durable_workflows w indexed by durable_workflows_keyless
             where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' and (w.name || char(10) || coalesce(w.version, '')) > kinds.kind order by (w.name || char(10) || coalesce(w.version, '')) limit 1)
           from kinds where kinds.kind is not null),
     keyless as materialized (
         select i.key, i.priority, i.created_at,
                row_number() over (partition by i.priority order by i.created_at, i.key) as turn
           from (select i.key, i.priority, i.created_at from kinds cross join durable_workflows i on i.key in (
          select w.key from durable_workflows w indexed by durable_workflows_keyless
           where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' and (w.name || char(10) || coalesce(w.version, '')) = kinds.kind
           order by w.priority, w.created_at, w.key limit coalesce((select max(room, 0) from budget), 0))
      where (kinds.kind in (select value from json_each(?5)) or substr(kinds.kind, 1, instr(kinds.kind, char(10)) - 1) in (select value from json_each(?5)))
      order by i.priority, i.created_at, i.key limit coalesce((select max(room, 0) from budget), 0)) i)
     select h.key, h.partition_key, h.priority, h.class
       from (select h.key, h.priority, h.created_at, h.partition_key, h.class, h.turn, h.round
               from heads h where h.known
             union all
             select k.key, k.priority, k.created_at, '', k.priority, k.turn, 1 from keyless k) h
       left join durable_queue_turns t on t.queue = ?4 and t.priority = h.priority
      where exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
      order by h.priority, h.round, h.turn, (h.partition_key = '') = coalesce(t.keyless, 1), h.created_at, h.key
      limit coalesce((select max(room, 0) from budget), 0);
