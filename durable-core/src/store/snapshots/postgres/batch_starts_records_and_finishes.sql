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
done as (
    update durable.workflows w
       set status = rows.status, output = rows.output, error = rows.error, reason = rows.reason, completed_at = case when rows.status = 'PARKED' then null else clock.now end
      from (select * from unnest($18::bigint[], $19::integer[], $20::text[], $21::text[], $22::text[], $23::text[]) limit cardinality($18)) as rows (key, attempt, status, output, error, reason), clock, fence
     where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
    returning w.key),
recorded as (
    insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
    select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts, rows.output, rows.error, rows.failures, clock.now - rows.ran_for, clock.now
      from unnest($24::bigint[], $25::text[], $26::integer[], $27::text[], $28::text[], $29::text[], $30::integer[], $31::text[], $32::text[], $33::text[], $34::bigint[], $35::boolean[], $36::bigint[]) as rows (workflow, branch, position, kind, name, child, attempts, output, error, failures, ran_for, ends, starts), clock, fence
     where true and (not rows.ends or rows.workflow in (select key from done)) and (rows.starts is null or rows.starts in (select key from started)))
select (select count(*) from fence) as fence_holds,
       (select array_agg(key) from started) as started,
       null::bigint[] as enqueued,
       (select array_agg(key) from done) as done,
       null::bigint[] as without_receiver,
       null::text[] as statuses,
       0::bigint as sent;
