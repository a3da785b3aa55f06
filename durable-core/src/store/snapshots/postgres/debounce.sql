insert into durable.workflows as w
   (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, status, due_at, debounce_key, debounce_until, attempt, created_at)
select $3::bigint, $4::text, $5::text, $6::text, $7::bigint, $8::text, $9::bigint, $10::bigint, $11::bigint, $12::text, $13::text, $14::text, $15::text, $16::text, $17::text, $18::integer, $19::text, $20::text, 'DELAYED', least(case when $21 > 253402300799999999 - clock.now then 253402300799999999 else clock.now + $21 end, coalesce(case when $23 > 253402300799999999 - clock.now then 253402300799999999 else clock.now + $23 end, case when $21 > 253402300799999999 - clock.now then 253402300799999999 else clock.now + $21 end)), $22, case when $23 > 253402300799999999 - clock.now then 253402300799999999 else clock.now + $23 end, 0, clock.now
  from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) clock
 where (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share) = 1 and not exists (select 1 from durable.workflows i where i.id = $4)
   and not exists (
       select 1 from durable.workflows d
        where d.queue = $17 and d.deduplication_id = $20 and d.deduplication_id is not null
   and d.status in ('ENQUEUED', 'DELAYED', 'PENDING') and (d.name, d.instance, d.debounce_key, d.status)
                     is distinct from ($5, $6, $22, 'DELAYED'))
on conflict (name, coalesce(instance, ''), debounce_key) where debounce_key is not null and status = 'DELAYED'
do update set input = excluded.input, encoding = excluded.encoding, priority = excluded.priority,
              timeout = excluded.timeout, deadline = excluded.deadline,
              due_at = least(case when $21 > 253402300799999999 - excluded.created_at then 253402300799999999 else excluded.created_at + $21 end, coalesce(w.debounce_until, case when $21 > 253402300799999999 - excluded.created_at then 253402300799999999 else excluded.created_at + $21 end))
returning key, id, name, instance, status;
