with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
done as (
    update durable.workflows w
       set status = rows.status, output = rows.output, error = rows.error, reason = rows.reason, completed_at = case when rows.status = 'PARKED' then null else clock.now end
      from (select * from unnest($3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[]) limit cardinality($3)) as rows (key, attempt, status, output, error, reason), clock, fence
     where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
    returning w.key),
recorded as (
    insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
    select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts, rows.output, rows.error, rows.failures, clock.now - rows.ran_for, clock.now
      from unnest($9::bigint[], $10::text[], $11::integer[], $12::text[], $13::text[], $14::text[], $15::integer[], $16::text[], $17::text[], $18::text[], $19::bigint[], $20::boolean[], $21::bigint[]) as rows (workflow, branch, position, kind, name, child, attempts, output, error, failures, ran_for, ends, starts), clock, fence
     where true and (not rows.ends or rows.workflow in (select key from done)))
select (select count(*) from fence) as fence_holds,
       null::bigint[] as started,
       null::bigint[] as enqueued,
       (select array_agg(key) from done) as done,
       null::bigint[] as without_receiver,
       null::text[] as statuses,
       0::bigint as sent;
