with fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
clock as materialized (select now, 'PENDING' as pending from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
receivers as materialized (
    select rows.*, w.key as receiver, w.status
      from (select * from unnest($57::text[], $58::bigint[], $59::text[], $60::text[], $61::text[], $62::bigint[]) limit cardinality($57)) as rows (id, key, topic, idempotency_key, payload, ends) left join durable.workflows w on w.id = rows.id),
without_receiver as materialized (
    select r.key, r.status from receivers r
     where r.receiver is null
        or r.status in ('SUCCESS', 'ERROR', 'CANCELLED')
           and (select m.key from durable.messages m
                 where m.workflow = r.receiver and m.topic = r.topic
                   and m.idempotency_key = r.idempotency_key limit 1) is null),
gate as materialized (select 1 from fence where not exists (select 1 from without_receiver)),
starting as materialized (
    select w.key, w.attempt
      from (select * from unnest($7::bigint[], $17::integer[]) limit cardinality($7)) as rows (parent, parent_attempt) join durable.workflows w on w.key = rows.parent, clock
     where w.attempt = rows.parent_attempt and w.status = clock.pending
     order by w.key for share of w),
started as (
    insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
    select rows.key, rows.id, rows.name, rows.instance, rows.parent, rows.version, rows.fingerprint, rows.timeout, rows.deadline, rows.application, rows.started_by, rows.trace_context, rows.labels, rows.input, 'PENDING', $1::bigint, 1, clock.now, clock.now
      from unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::integer[]) as rows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, parent_attempt), clock, gate
     where rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from starting)
    on conflict (id) do nothing
    returning key),
enqueuing as materialized (
    select w.key, w.attempt
      from (select * from unnest($22::bigint[], $32::integer[]) limit cardinality($22)) as rows (parent, parent_attempt) join durable.workflows w on w.key = rows.parent, clock
     where w.attempt = rows.parent_attempt and w.status = clock.pending
     order by w.key for share of w),
enqueued as (
    insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, queue, priority, partition_key, deduplication_id, status, due_at, attempt, created_at)
    select rows.key, rows.id, rows.name, rows.instance, rows.parent, rows.version, rows.fingerprint, rows.timeout, rows.deadline, rows.application, rows.started_by, rows.trace_context, rows.labels, rows.input, rows.queue, rows.priority, rows.partition_key, rows.deduplication_id, case when rows.delay is null then 'ENQUEUED' else 'DELAYED' end, case when rows.delay > 253402300799999999 - clock.now then 253402300799999999 else clock.now + rows.delay end, 0, clock.now
      from unnest($18::bigint[], $19::text[], $20::text[], $21::text[], $22::bigint[], $23::text[], $24::bigint[], $25::bigint[], $26::bigint[], $27::text[], $28::text[], $29::text[], $30::text[], $31::text[], $32::integer[], $33::text[], $34::integer[], $35::text[], $36::text[], $37::bigint[]) as rows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, parent_attempt, queue, priority, partition_key, deduplication_id, delay), clock, gate
     where rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from enqueuing)
    on conflict do nothing
    returning key),
done as (
    update durable.workflows w
       set status = rows.status, output = rows.output, error = rows.error, reason = rows.reason, completed_at = case when rows.status = 'PARKED' then null else clock.now end
      from (select * from unnest($38::bigint[], $39::integer[], $40::text[], $41::text[], $42::text[], $43::text[]) limit cardinality($38)) as rows (key, attempt, status, output, error, reason), clock, gate
     where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
    returning w.key),
recorded as (
    insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
    select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts, rows.output, rows.error, rows.failures, clock.now - rows.ran_for, clock.now
      from unnest($44::bigint[], $45::text[], $46::integer[], $47::text[], $48::text[], $49::text[], $50::integer[], $51::text[], $52::text[], $53::text[], $54::bigint[], $55::boolean[], $56::bigint[]) as rows (workflow, branch, position, kind, name, child, attempts, output, error, failures, ran_for, ends, starts), clock, gate
     where true and (not rows.ends or rows.workflow in (select key from done)) and (rows.starts is null or rows.starts in (select key from started union all select key from enqueued))),
sent as (
    insert into durable.messages (key, topic, idempotency_key, payload, workflow, sent_at)
    select r.key, r.topic, r.idempotency_key, r.payload, r.receiver, clock.now
      from receivers r, clock, gate
     where (r.ends is null or r.ends in (select key from done))
     order by r.id, r.idempotency_key, r.key
    on conflict do nothing
    returning 1),
received as (
    update durable.messages m set received_at = coalesce(m.received_at, clock.now)
      from (select * from unnest($63::bigint[], $64::bigint[]) limit cardinality($63)) as rows (key, ends), clock, gate
     where m.key = rows.key and (rows.ends is null or rows.ends in (select key from done))),
published_in_events as (
    insert into durable.events (workflow, name, key, branch, position, value, set_at)
    select rows.workflow, rows.name, rows.key, rows.branch, rows.position, rows.value, greatest(clock.now, (select last.set_at + 1 from durable.events last
           where last.workflow = rows.workflow and last.name = rows.name
           order by last.set_at desc, last.key desc limit 1))
      from (select * from unnest($65::bigint[], $66::text[], $67::bigint[], $68::text[], $69::integer[], $70::text[], $71::bigint[]) limit cardinality($65)) as rows (workflow, name, key, branch, position, value, ends), clock, gate
     where (rows.ends is null or rows.ends in (select key from done))),
published_in_streams as (
    insert into durable.streams (workflow, name, key, branch, position, value, written_at)
    select rows.workflow, rows.name, rows.key, rows.branch, rows.position, rows.value, greatest(clock.now, (select last.written_at + 1 from durable.streams last
           where last.workflow = rows.workflow and last.name = rows.name
           order by last.written_at desc, last.key desc limit 1))
      from (select * from unnest($72::bigint[], $73::text[], $74::bigint[], $75::text[], $76::integer[], $77::text[], $78::bigint[]) limit cardinality($72)) as rows (workflow, name, key, branch, position, value, ends), clock, gate
     where (rows.ends is null or rows.ends in (select key from done)))
select (select count(*) from fence) as fence_holds,
       (select array_agg(key) from started) as started,
       (select array_agg(key) from enqueued) as enqueued,
       (select array_agg(key) from done) as done,
       (select array_agg(key) from without_receiver) as without_receiver,
       (select array_agg(status) from without_receiver) as statuses,
       (select count(*) from sent) as sent;
