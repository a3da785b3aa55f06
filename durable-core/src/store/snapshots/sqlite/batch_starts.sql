with given (executor, epoch, now) as (values (?, ?, ?)) insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
select column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, column11, column12, column13, column14, 'PENDING', given.executor, 1, given.now, given.now from given, (values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?))
 where column1 is not null and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch) and (column5 is null or exists (
 select 1 from durable_workflows p
  where p.key = column5 and p.attempt = column15 and p.status = 'PENDING'))
on conflict (id) do nothing;
