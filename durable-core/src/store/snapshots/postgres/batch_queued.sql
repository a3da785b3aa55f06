with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
enqueuing as materialized (
    select w.key, w.attempt
      from (select * from unnest($7::bigint[], $17::integer[]) limit cardinality($7)) as rows (parent, parent_attempt) join durable.workflows w on w.key = rows.parent, clock
     where w.attempt = rows.parent_attempt and w.status = clock.pending
     order by w.key for share of w),
enqueued as (
    insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, status, due_at, attempt, created_at)
    select rows.key, rows.id, rows.name, rows.instance, rows.parent, rows.version, rows.fingerprint, rows.timeout, rows.deadline, rows.application, rows.started_by, rows.trace_context, rows.labels, rows.input, rows.queue, rows.priority, rows.partition_key, rows.deduplication_id, case when rows.delay is null then 'ENQUEUED' else 'DELAYED' end, case when rows.delay > 253402300799999999 - clock.now then 253402300799999999 else clock.now + rows.delay end, 0, clock.now
      from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::integer[], $18::text[], $19::integer[], $20::text[], $21::text[], $22::bigint[]) as rows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, parent_attempt, queue, priority, partition_key, deduplication_id, delay), clock, fence
     where rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from enqueuing)
    on conflict do nothing
    returning key)
select (select count(*) from fence) as fence_holds,
       null::bigint[] as started,
       (select array_agg(key) from enqueued) as enqueued,
       null::bigint[] as done,
       null::bigint[] as without_receiver,
       null::text[] as statuses,
       0::bigint as sent;
