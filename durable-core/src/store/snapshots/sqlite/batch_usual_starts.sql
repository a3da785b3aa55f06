with given (executor, epoch, now) as (values (?, ?, ?)) insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
select column1, column2, column3, null, null, column4, column5, null, null, column6, null, null, null, column7, 'PENDING', given.executor, 1, given.now, given.now from given, (values (?,?,?,?,?,?,?),(?,?,?,?,?,?,?),(?,?,?,?,?,?,?),(?,?,?,?,?,?,?))
 where column1 is not null and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch) and true
on conflict (id) do nothing;
