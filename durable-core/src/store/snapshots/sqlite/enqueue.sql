insert into durable_workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, status, due_at, attempt, created_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, case when ?21 is null then 'ENQUEUED' else 'DELAYED' end, case when ?21 > 253402300799999999 - ?22 then 253402300799999999 else ?22 + ?21 end, 0, ?22
   where exists (select 1 from durable_executors where key = ?1 and epoch = ?2) on conflict do nothing;
