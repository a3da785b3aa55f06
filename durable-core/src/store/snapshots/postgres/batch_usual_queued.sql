with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
enqueued as (
    insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, status, due_at, attempt, created_at)
    select rows.key, rows.id, rows.name, null::text, null::bigint, rows.version, rows.fingerprint, null::bigint, null::bigint, rows.application, null::text, null::text, null::text, rows.input, rows.queue, rows.priority, rows.partition_key, null::text, case when rows.delay is null then 'ENQUEUED' else 'DELAYED' end, case when rows.delay > 253402300799999999 - clock.now then 253402300799999999 else clock.now + rows.delay end, 0, clock.now
      from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::integer[], $12::text[], $13::bigint[]) as rows (key, id, name, version, fingerprint, application, input, queue, priority, partition_key, delay), clock, fence
     where true
    on conflict do nothing
    returning key)
select (select count(*) from fence) as fence_holds,
       null::bigint[] as started,
       (select array_agg(key) from enqueued) as enqueued,
       null::bigint[] as done,
       null::bigint[] as without_receiver,
       null::text[] as statuses,
       0::bigint as sent;
