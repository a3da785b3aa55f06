with given (executor, epoch, now) as (values (?, ?, ?)) update durable_workflows
  set (status, output, error, reason) = (column3, column4, column5, column6),
      completed_at = case when column3 = 'PARKED' then null else given.now end
 from given, (values (?,?,?,?,?,?),(?,?,?,?,?,?),(?,?,?,?,?,?),(?,?,?,?,?,?))
where key = column1 and attempt = column2 and status = 'PENDING'
  and durable_workflows.executor = given.executor and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch);
