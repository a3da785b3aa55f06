with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
starting as materialized (
    select w.key, w.attempt
      from (select * from unnest($7::bigint[], $17::integer[]) limit cardinality($7)) as rows (parent, parent_attempt) join durable.workflows w on w.key = rows.parent, clock
     where w.attempt = rows.parent_attempt and w.status = clock.pending
     order by w.key for share of w),
started as (
    insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
    select rows.key, rows.id, rows.name, rows.instance, rows.parent, rows.version, rows.fingerprint, rows.timeout, rows.deadline, rows.application, rows.started_by, rows.trace_context, rows.labels, rows.input, 'PENDING', $1::bigint, 1, clock.now, clock.now
      from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::integer[]) as rows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, parent_attempt), clock, fence
     where rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from starting)
    on conflict (id) do nothing
    returning key),
recorded as (
    insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
    select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts, rows.output, rows.error, rows.failures, clock.now - rows.ran_for, clock.now
      from unnest($18::bigint[], $19::text[], $20::integer[], $21::text[], $22::text[], $23::text[], $24::integer[], $25::text[], $26::text[], $27::text[], $28::bigint[], $29::boolean[], $30::bigint[]) as rows (workflow, branch, position, kind, name, child, attempts, output, error, failures, ran_for, ends, starts), clock, fence
     where true and (rows.starts is null or rows.starts in (select key from started)))
select (select count(*) from fence) as fence_holds,
       (select array_agg(key) from started) as started,
       null::bigint[] as enqueued,
       null::bigint[] as done,
       null::bigint[] as without_receiver,
       null::text[] as statuses,
       0::bigint as sent;
