with given (executor, epoch, now) as (values (?, ?, ?)) insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, input, status, executor, attempt, created_at, started_at)
select rows.*, 'PENDING', given.executor, 1, given.now, given.now from given, (values (?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?)) rows
 where rows.column1 is not null and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch)
on conflict (id) do nothing;
