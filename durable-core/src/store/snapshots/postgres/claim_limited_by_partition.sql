with recursive queue as materialized (select * from durable.queues where name = $3::text),
     clock as materialized (select now, 'ENQUEUED' as waiting from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c),
     fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
     budget as materialized (
         select least($5::bigint,
                      case when q.concurrency is not null then q.concurrency - (select count(*) from durable.workflows p where p.status = 'PENDING' and p.queue = $3::text) end,
                      case when q.rate_starts is not null then q.rate_starts - (
                           select count(*) from durable.queue_starts s
                            where s.queue = $3::text and s.started_at > clock.now - q.rate_period) end) as room
           from queue q, clock, fence
          where not q.paused),
keys (key) as (
    (select w.partition_key from durable.workflows w
      where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key > '' and w.partition_key >= ''
      order by w.queue, w.partition_key limit 1)
    union all
    select (select w.partition_key from durable.workflows w
             where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key > keys.key and w.partition_key >= ''
             order by w.queue, w.partition_key limit 1)
      from keys where keys.key is not null),
     turns as materialized (
         select keys.key as partition_key, p.served_at,
                least(budget.room, coalesce(q.partition_concurrency, 1) - (select count(*) from durable.workflows p
  where p.status = 'PENDING' and p.queue = $3::text and p.partition_key = keys.key),
                      q.partition_rate_starts - (select count(*) from durable.queue_starts s
  where s.queue = $3::text and s.partition_key = keys.key and s.started_at > clock.now - q.partition_rate_period)) as room
           from budget, queue q, clock, keys
           left join durable.queue_partitions p on p.queue = $3::text and p.partition_key = keys.key
          where keys.key is not null and budget.room > 0),
     heads as materialized (
         select i.key, i.priority, i.created_at, t.partition_key,
                row_number() over line as round,
                coalesce(t.served_at, first_value(i.created_at) over line) as since,
                bool_and((i.name = any($4::text[]) or (i.name || chr(10) || coalesce(i.version, '')) = any($4::text[]))) over line as known
           from turns t
          cross join lateral (
                select w.key, w.name, w.version, w.priority, w.created_at from durable.workflows w
                 where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = t.partition_key
                   and w.partition_key >= ''
                 order by w.queue, w.partition_key, w.priority, w.created_at, w.key
                 limit greatest(t.room, 0)) i
         window line as (partition by t.partition_key order by i.priority, i.created_at, i.key)),
     keyless as materialized (
         select w.key, w.priority, w.created_at, w.partition_key, 1 as round, w.created_at as since, true as known
           from durable.workflows w
          where w.status = 'ENQUEUED' and w.queue = $3::text and w.partition_key = '' and w.partition_key >= ''
            and (w.name = any($4::text[]) or (w.name || chr(10) || coalesce(w.version, '')) = any($4::text[]))
          order by w.queue, w.partition_key, w.priority, w.created_at, w.key
          limit coalesce((select greatest(room, 0) from budget), 0)),
     wanted as materialized (
         select h.key, h.partition_key, h.round,
                row_number() over (order by h.priority, h.round, h.since, h.created_at, h.key) as turn
           from (select * from heads union all select * from keyless) h
          where h.known
          order by h.priority, h.round, h.since, h.created_at, h.key
          limit coalesce((select greatest(room, 0) from budget), 0)),
     locked as materialized (
         select w.key from durable.workflows w, clock, (select * from unnest(array(select key from wanted)) limit $5::bigint) as it (key)
          where w.key = it.key and w.status = clock.waiting for update of w skip locked),
     chosen as materialized (
         select w.key from wanted w
          where w.key in (select key from locked)
            and (w.partition_key = '' or not exists (
                select 1 from wanted earlier
                 where earlier.partition_key = w.partition_key and earlier.round < w.round
                   and earlier.key not in (select key from locked)))),
     taken as (
         update durable.workflows w set status = 'PENDING', executor = $1::bigint, attempt = w.attempt + 1, started_at = c.now, deadline = coalesce(w.deadline, case when w.timeout > 253402300799999999 - c.now then 253402300799999999 else c.now + w.timeout end) from clock c, (select * from unnest(array(select key from chosen)) limit $5::bigint) as it (key)
          where w.key = it.key
         returning w.key, w.id, w.name, w.instance, w.input, w.attempt, w.forked_from, w.recoveries, w.fingerprint, w.deadline, w.parent, w.queue, w.partition_key, w.created_at, w.due_at, w.trace_context, w.priority, w.started_at),
     noted as (
         insert into durable.queue_starts (queue, partition_key, started_at, workflow)
         select $3::text, t.partition_key, t.started_at, t.key from taken t, queue q
          where q.rate_starts is not null or q.partition_rate_starts is not null),
     pruned as (
         delete from durable.queue_starts s using queue q, clock
          where s.queue = $3::text
            and s.started_at <= clock.now - greatest(coalesce(q.rate_period, 0), coalesce(q.partition_rate_period, 0))),
     served as (
         insert into durable.queue_partitions (queue, partition_key, served_at)
         select $3::text, t.partition_key, max(t.started_at + w.turn) from taken t join wanted w on w.key = t.key
          where t.partition_key > ''
          group by t.partition_key
         on conflict (queue, partition_key) do update set served_at = excluded.served_at),
     forgotten as (
         delete from durable.queue_partitions p using clock
          where p.queue = $3::text and p.served_at < clock.now - 3600000000
            and p.partition_key not in (select partition_key from taken))
     select clock.now, t.* from clock left join taken t on true;
