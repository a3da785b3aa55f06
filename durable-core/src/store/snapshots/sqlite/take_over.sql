with recursive
owners (executor) as (
    select min(executor) from durable_workflows where status = 'PENDING' and executor is not null
    union all
    select (select min(w.executor) from durable_workflows w where w.status = 'PENDING' and w.executor > o.executor)
      from owners o where o.executor is not null),
orphaned (executor) as (
    select o.executor from owners o
     where o.executor is not null
       and not exists (select 1 from durable_executors e where e.key = o.executor and e.state <> 'DEAD')),
     known (name, most) as (select value ->> 0, value ->> 1 from json_each(?3))
     update durable_workflows
        set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
            reason = case when c.parked then ?6 || recoveries || ?7 || recoveries || ?8 || id || '`' else reason end,
            executor = case when c.parked then executor when c.requeued is null then ?1 end,
            attempt = case when c.parked or c.requeued is not null then attempt else attempt + 1 end,
            recoveries = case when c.crashed and not c.parked then recoveries + 1 else recoveries end,
            started_at = case when c.parked then started_at when c.requeued is null then ?9 end
       from (select m.chosen, m.crashed, m.parked, case when not m.parked then m.queue end as requeued
               from (select w.key as chosen, w.queue, (w.executor is not null and w.executor <> ?1
                             and w.executor not in (select key from durable_executors where was_alive)) as crashed,
                            (w.executor is not null and w.executor <> ?1
                             and w.executor not in (select key from durable_executors where was_alive)) and coalesce(w.recoveries >= known.most, 0) as parked
                       from durable_workflows w indexed by durable_workflows_pending
                       left join known on known.name in (w.name, (w.name || char(10) || coalesce(w.version, '')))
                      where w.status = 'PENDING' and (known.name is not null or w.queue is not null)
                        and (w.executor is null or w.executor in (select executor from orphaned)
                             or (?5 is not null and w.executor = ?1 and w.attempt > 1 and w.queue is null
                                 and w.key not in (select value from json_each(?5))))
                        and exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
                      order by w.key limit ?4) m) c
      where key = c.chosen
     returning durable_workflows.key, durable_workflows.id, durable_workflows.name, durable_workflows.instance, case when status = 'ENQUEUED' then '' else coalesce(input, (select i.input from durable_inputs i where i.workflow = durable_workflows.key)) end as input, durable_workflows.attempt, durable_workflows.forked_from, durable_workflows.recoveries, durable_workflows.version, durable_workflows.fingerprint, durable_workflows.deadline, durable_workflows.parent, case when status in ('ENQUEUED', 'PARKED') then queue end as queue, durable_workflows.partition_key, durable_workflows.created_at, durable_workflows.due_at, durable_workflows.trace_context, status = 'PARKED' as parked;
