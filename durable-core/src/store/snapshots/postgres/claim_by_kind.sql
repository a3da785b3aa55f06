with recursive fence as materialized (
    select 1 from durable.executors e
     where e.key = $1::bigint and e.epoch = $2::bigint
       and not exists (select 1 from durable.queues q where q.name = $3::text and ((q.concurrency is not null or q.rate_starts is not null) or q.paused))
       for key share of e),
kinds (kind) as (
    (select (w.name || chr(10) || coalesce(w.version, '')) from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= '' order by w.queue, (w.name || chr(10) || coalesce(w.version, '')) limit 1)
    union all
    select (select (w.name || chr(10) || coalesce(w.version, '')) from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= '' and (w.name || chr(10) || coalesce(w.version, '')) > kinds.kind
             order by w.queue, (w.name || chr(10) || coalesce(w.version, '')) limit 1)
      from kinds where kinds.kind is not null),
chosen as materialized (select key from (select i.* from kinds
 cross join lateral (
       select w.key, w.priority, w.created_at from durable.workflows w
        where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.name >= ''
          and (w.name || chr(10) || coalesce(w.version, '')) = kinds.kind
        order by w.queue, (w.name || chr(10) || coalesce(w.version, '')), w.priority, w.created_at, w.key limit $5::bigint for update skip locked) i
 where (kinds.kind = any($4::text[]) or split_part(kinds.kind, chr(10), 1) = any($4::text[]))
 order by i.priority, i.created_at, i.key limit $5::bigint) i where (select count(*) from fence) = 1),
taken as (
    update durable.workflows w set status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, deadline = coalesce(w.deadline, case when w.timeout > 253402300799999999 - c.now then 253402300799999999 else c.now + w.timeout end) from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c, (select * from unnest(array(select key from chosen)) limit $5::bigint) as it (key)
     where w.key = it.key
    returning w.key, w.id, w.name, w.instance, w.input, w.attempt, w.forked_from, w.recoveries, w.version, w.fingerprint, w.deadline, w.parent, w.queue, w.partition_key, w.created_at, w.due_at, w.trace_context, w.priority, w.started_at)
select * from taken;
