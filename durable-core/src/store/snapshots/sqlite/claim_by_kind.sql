update durable_workflows set status = 'PENDING', executor = ?1, attempt = attempt + 1, started_at = ?3, deadline = coalesce(deadline, case when timeout > 253402300799999999 - ?3 then 253402300799999999 else ?3 + timeout end)
 where exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
    and not exists (select 1 from durable_queues q where q.name = ?4 and ((q.concurrency is not null or q.rate_starts is not null) or q.paused)) and key in (with recursive kinds (kind) as (
    select (select (w.name || char(10) || coalesce(w.version, '')) from durable_workflows w indexed by durable_workflows_keyless
        where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' order by (w.name || char(10) || coalesce(w.version, '')) limit 1)
    union all
    select (select (w.name || char(10) || coalesce(w.version, '')) from durable_workflows w indexed by durable_workflows_keyless
        where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' and (w.name || char(10) || coalesce(w.version, '')) > kinds.kind order by (w.name || char(10) || coalesce(w.version, '')) limit 1)
      from kinds where kinds.kind is not null) select i.key from kinds cross join durable_workflows i on i.key in (
     select w.key from durable_workflows w indexed by durable_workflows_keyless
      where w.status = 'ENQUEUED' and w.queue = ?4 and w.partition_key = '' and (w.name || char(10) || coalesce(w.version, '')) = kinds.kind
      order by w.priority, w.created_at, w.key limit ?6)
 where (kinds.kind in (select value from json_each(?5)) or substr(kinds.kind, 1, instr(kinds.kind, char(10)) - 1) in (select value from json_each(?5)))
 order by i.priority, i.created_at, i.key limit ?6)
returning durable_workflows.key, durable_workflows.id, durable_workflows.name, durable_workflows.instance, coalesce(input, (select i.input from durable_inputs i where i.workflow = durable_workflows.key)) as input, durable_workflows.attempt, durable_workflows.forked_from, durable_workflows.recoveries, durable_workflows.version, durable_workflows.fingerprint, durable_workflows.deadline, durable_workflows.parent, durable_workflows.queue, durable_workflows.partition_key, durable_workflows.created_at, durable_workflows.due_at, durable_workflows.trace_context, durable_workflows.priority;
