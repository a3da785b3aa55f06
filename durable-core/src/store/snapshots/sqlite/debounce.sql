insert into durable_workflows as w
   (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, status, due_at, debounce_key, debounce_until, attempt, created_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, 'DELAYED', min(case when ?21 > 253402300799999999 - ?24 then 253402300799999999 else ?24 + ?21 end, coalesce(case when ?23 > 253402300799999999 - ?24 then 253402300799999999 else ?24 + ?23 end, case when ?21 > 253402300799999999 - ?24 then 253402300799999999 else ?24 + ?21 end)), ?22, case when ?23 > 253402300799999999 - ?24 then 253402300799999999 else ?24 + ?23 end, 0, ?24
 where exists (select 1 from durable_executors where key = ?1 and epoch = ?2) and not exists (select 1 from durable_workflows i where i.id = ?4)
   and not exists (
       select 1 from durable_workflows d
        where d.queue = ?17 and d.deduplication_id = ?20 and d.deduplication_id is not null
   and d.status in ('ENQUEUED', 'DELAYED', 'PENDING') and (d.name, d.instance, d.debounce_key, d.status)
                     is distinct from (?5, ?6, ?22, 'DELAYED'))
on conflict (name, coalesce(instance, ''), debounce_key) where debounce_key is not null and status = 'DELAYED'
do update set input = excluded.input, encoding = excluded.encoding, priority = excluded.priority,
              timeout = excluded.timeout, deadline = excluded.deadline,
              due_at = min(case when ?21 > 253402300799999999 - excluded.created_at then 253402300799999999 else excluded.created_at + ?21 end, coalesce(w.debounce_until, case when ?21 > 253402300799999999 - excluded.created_at then 253402300799999999 else excluded.created_at + ?21 end))
returning key, id, name, instance, status;
