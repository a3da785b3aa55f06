with given (executor, epoch, now) as (values (?, ?, ?)) insert or fail into durable_steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
select column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, given.now - column11, given.now
  from given, (values (?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?)) where column1 is not null and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch);
