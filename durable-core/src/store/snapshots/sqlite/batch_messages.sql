with given (executor, epoch, now) as (values (?, ?, ?)) insert into durable_messages (key, topic, idempotency_key, payload, workflow, sent_at)
select column1, column2, column3, column4, w.key, given.now
  from given cross join (values (?,?,?,?,?),(?,?,?,?,?),(?,?,?,?,?),(?,?,?,?,?)) cross join durable_workflows w
 where w.id = column5 and w.status not in ('SUCCESS', 'ERROR', 'CANCELLED') and exists (select 1 from durable_executors e where e.key = given.executor and e.epoch = given.epoch)
on conflict do nothing;
