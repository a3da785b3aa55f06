with given (executor, epoch, now) as (values (?, ?, ?)) insert into durable_streams (workflow, name, key, branch, position, value, written_at)
select column1, column2, column3, column4, column5, column6, max(given.now, coalesce((select max(written_at) + 1 from durable_streams where workflow = column1 and name = column2), 0))
  from given, (values (?,?,?,?,?,?),(?,?,?,?,?,?),(?,?,?,?,?,?),(?,?,?,?,?,?)) where column1 is not null and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch);
