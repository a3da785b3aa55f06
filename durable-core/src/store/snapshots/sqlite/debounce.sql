insert into durable_workflows as w
   (key, id, name, instance, parent, version, fingerprint, timeout, deadline, input, queue, priority, partition_key, deduplication_id, status, due_at, debounce_key, debounce_until, attempt, created_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 'DELAYED', min(case when ?17 > 253402300799999999 - ?20 then 253402300799999999 else ?20 + ?17 end, coalesce(case when ?19 > 253402300799999999 - ?20 then 253402300799999999 else ?20 + ?19 end, case when ?17 > 253402300799999999 - ?20 then 253402300799999999 else ?20 + ?17 end)), ?18, case when ?19 > 253402300799999999 - ?20 then 253402300799999999 else ?20 + ?19 end, 0, ?20
 where exists (select 1 from durable_executors where key = ?1 and epoch = ?2) and not exists (select 1 from durable_workflows i where i.id = ?4)
   and not exists (
       select 1 from durable_workflows d
        where d.queue = ?13 and d.deduplication_id = ?16 and d.deduplication_id is not null
   and d.status in ('ENQUEUED', 'DELAYED', 'PENDING') and (d.name, d.instance, d.debounce_key, d.status)
                     is distinct from (?5, ?6, ?18, 'DELAYED'))
on conflict (name, coalesce(instance, ''), debounce_key) where debounce_key is not null and status = 'DELAYED'
do update set input = excluded.input, encoding = excluded.encoding, priority = excluded.priority,
              timeout = excluded.timeout, deadline = excluded.deadline,
              due_at = min(case when ?17 > 253402300799999999 - excluded.created_at then 253402300799999999 else excluded.created_at + ?17 end, coalesce(w.debounce_until, case when ?17 > 253402300799999999 - excluded.created_at then 253402300799999999 else excluded.created_at + ?17 end))
returning key, id, name, instance, status;
