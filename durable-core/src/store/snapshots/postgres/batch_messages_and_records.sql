with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
receivers as materialized (
    select rows.*, w.key as receiver, w.status
      from (select * from unnest($16::text[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::bigint[]) limit cardinality($16)) as rows (id, key, topic, idempotency_key, payload, ends) left join durable.workflows w on w.id = rows.id),
without_receiver as materialized (
    select r.key, r.status from receivers r
     where r.receiver is null
        or r.status in ('SUCCESS', 'ERROR', 'CANCELLED')
           and (select m.key from durable.messages m
                 where m.workflow = r.receiver and m.topic = r.topic
                   and m.idempotency_key = r.idempotency_key limit 1) is null),
gate as materialized (select 1 from fence where not exists (select 1 from without_receiver)),
recorded as (
    insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
    select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts, rows.output, rows.error, rows.failures, clock.now - rows.ran_for, clock.now
      from unnest($3::bigint[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::boolean[], $15::bigint[]) as rows (workflow, branch, position, kind, name, child, attempts, output, error, failures, ran_for, ends, starts), clock, gate
     where true),
sent as (
    insert into durable.messages (key, topic, idempotency_key, payload, workflow, sent_at)
    select r.key, r.topic, r.idempotency_key, r.payload, r.receiver, clock.now
      from receivers r, clock, gate
     where true
     order by r.id, r.idempotency_key, r.key
    on conflict do nothing
    returning 1)
select (select count(*) from fence) as fence_holds,
       null::bigint[] as started,
       null::bigint[] as enqueued,
       null::bigint[] as done,
       (select array_agg(key) from without_receiver) as without_receiver,
       (select array_agg(status) from without_receiver) as statuses,
       (select count(*) from sent) as sent;
