insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, input, status, executor, attempt, created_at, started_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'PENDING', ?1, 1, ?13, ?13
 where exists (select 1 from durable_executors where key = ?1 and epoch = ?2)
on conflict (id) do nothing;
