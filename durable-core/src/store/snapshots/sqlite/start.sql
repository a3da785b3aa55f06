insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 'PENDING', ?1, 1, ?17, ?17
 where exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
on conflict (id) do nothing;
