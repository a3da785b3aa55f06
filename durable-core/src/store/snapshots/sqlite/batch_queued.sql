with given (executor, epoch, now) as (values (?, ?, ?)) insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, due_at, status, attempt, created_at)
select column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, column11, column12, column13, column14, column15, column16, column17, column18, case when column19 > 253402300799999999 - given.now then 253402300799999999 else given.now + column19 end, case when column19 is null then 'ENQUEUED' else 'DELAYED' end, 0, given.now
  from given, (values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?),(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)) where column1 is not null and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch) and (column5 is null or exists (
     select 1 from durable_workflows p
      where p.key = column5 and p.attempt = column20 and p.status = 'PENDING'))
on conflict do nothing;
