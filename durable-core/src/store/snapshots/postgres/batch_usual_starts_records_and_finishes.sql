with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
started as (
    insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
    select rows.key, rows.id, rows.name, null::text, null::bigint, rows.version, rows.fingerprint, null::bigint, null::bigint, rows.application, null::text, null::text, null::text, rows.input, 'PENDING', $1::bigint, 1, clock.now, clock.now
      from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[]) as rows (key, id, name, version, fingerprint, application, input), clock, fence
     where true
    on conflict (id) do nothing
    returning key),
done as (
    update durable.workflows w
       set status = rows.status, output = rows.output, error = null::text, reason = null::text, completed_at = case when rows.status = 'PARKED' then null else clock.now end
      from (select * from unnest($10::bigint[], $11::integer[], $12::text[], $13::text[]) limit cardinality($10)) as rows (key, attempt, status, output), clock, fence
     where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
    returning w.key),
recorded as (
    insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
    select rows.workflow, ''::text, rows.position, rows.kind, rows.name, null::text, 1::integer, rows.output, null::text, null::text, clock.now - rows.ran_for, clock.now
      from unnest($14::bigint[], $15::integer[], $16::text[], $17::text[], $18::text[], $19::bigint[], $20::boolean[]) as rows (workflow, position, kind, name, output, ran_for, ends), clock, fence
     where true and (not rows.ends or rows.workflow in (select key from done)))
select (select count(*) from fence) as fence_holds,
       (select array_agg(key) from started) as started,
       null::bigint[] as enqueued,
       (select array_agg(key) from done) as done,
       null::bigint[] as without_receiver,
       null::text[] as statuses,
       0::bigint as sent;
