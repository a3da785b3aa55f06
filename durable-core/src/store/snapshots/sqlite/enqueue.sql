insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, input, queue, priority, partition_key, deduplication_id, status, due_at, attempt, created_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, case when ?17 is null then 'ENQUEUED' else 'DELAYED' end, case when ?17 > 253402300799999999 - ?18 then 253402300799999999 else ?18 + ?17 end, 0, ?18
   where exists (select 1 from durable_executors where key = ?1 and epoch = ?2) on conflict do nothing;
