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
     known (name, most) as materialized (select cast(value ->> 0 as text), value ->> 1 from json_each(?3)),
     released as (
         select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed
           from durable_workflows w indexed by durable_workflows_pending
          where w.status = 'PENDING' and w.executor is null and ((w.name in (select name from known) or (w.name || char(10) || coalesce(w.version, '')) in (select name from known)) or w.queue is not null)
          order by w.executor, w.key limit ?4),
     abandoned as (
         select w.key, w.name, w.version, w.queue, w.recoveries,
                w.executor not in (select key from durable_executors where was_alive) as crashed
           from orphaned o cross join durable_workflows w indexed by durable_workflows_pending
          where w.status = 'PENDING' and w.executor = o.executor and ((w.name in (select name from known) or (w.name || char(10) || coalesce(w.version, '')) in (select name from known)) or w.queue is not null)
          limit ?4),
     lost as (
         select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed
           from durable_workflows w indexed by durable_workflows_pending
          where ?5 is not null and w.status = 'PENDING' and w.executor = ?1 and w.attempt > 1 and w.queue is null
            and w.key not in (select value from json_each(?5)) and (w.name in (select name from known) or (w.name || char(10) || coalesce(w.version, '')) in (select name from known))
          order by w.executor, w.key limit ?4),
     chosen as (
         select free.key as chosen, free.crashed, free.queue,
                free.crashed and coalesce(free.recoveries >= coalesce(by_name.most, by_version.most), 0) as parked
           from (select * from released union all select * from abandoned union all select * from lost) free
           left join known by_name on by_name.name = free.name
           left join known by_version on by_version.name = (free.name || char(10) || coalesce(free.version, ''))
          where exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
          order by free.key limit ?4)
     update durable_workflows
        set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
            reason = case when c.parked then ?6 || recoveries || ?7 || recoveries || ?8 || id || '`' else reason end,
            executor = case when c.parked then executor when c.requeued is null then ?1 end,
            attempt = case when c.parked or c.requeued is not null then attempt else attempt + 1 end,
            recoveries = case when c.crashed and not c.parked then recoveries + 1 else recoveries end,
            started_at = case when c.parked then started_at when c.requeued is null then ?9 end
       from (select *, case when not parked then queue end as requeued from chosen) c
      where key = c.chosen
     returning durable_workflows.key, durable_workflows.id, durable_workflows.name, durable_workflows.instance, case when status = 'ENQUEUED' then '' else coalesce(input, (select i.input from durable_inputs i where i.workflow = durable_workflows.key)) end as input, durable_workflows.attempt, durable_workflows.forked_from, durable_workflows.recoveries, durable_workflows.version, durable_workflows.fingerprint, durable_workflows.deadline, durable_workflows.parent, case when status in ('ENQUEUED', 'PARKED') then queue end as queue, durable_workflows.partition_key, durable_workflows.created_at, durable_workflows.due_at, durable_workflows.trace_context, status = 'PARKED' as parked;
