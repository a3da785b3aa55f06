with recursive
owners (executor) as (
    (select executor from durable.workflows
      where status = 'PENDING' and executor is not null order by executor limit 1)
    union all
    select (select w.executor from durable.workflows w
             where w.status = 'PENDING' and w.executor > o.executor order by w.executor limit 1)
      from owners o where o.executor is not null),
orphaned (executor) as (
    select o.executor from owners o
     where o.executor is not null
       and not exists (select 1 from durable.executors e where e.key = o.executor and e.state <> 'DEAD')),
     known as materialized (select * from unnest($3::text[], $4::bigint[]) as known (name, most)),
     fence as materialized (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share),
     released as (
         select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed from durable.workflows w
          where w.status = 'PENDING' and w.executor is null and ((w.name = any($3::text[]) or (w.name || chr(10) || coalesce(w.version, '')) = any($3::text[])) or w.queue is not null)
          order by w.executor, w.key limit $5::bigint for update skip locked),
     abandoned as (
         select w.key, w.name, w.version, w.queue, w.recoveries,
                not exists (select 1 from durable.executors e where e.key = o.executor and e.was_alive) as crashed
           from orphaned o
          cross join lateral (
                select i.key, i.name, i.version, i.queue, i.recoveries from durable.workflows i
                 where i.status = 'PENDING' and i.executor = o.executor
                   and ((i.name = any($3::text[]) or (i.name || chr(10) || coalesce(i.version, '')) = any($3::text[])) or i.queue is not null)
                 order by i.executor, i.key limit $5::bigint for update skip locked) w),
     lost as (
         select w.key, w.name, w.version, w.queue, w.recoveries, false as crashed from durable.workflows w
          where $6::bigint[] is not null and w.status = 'PENDING' and w.executor = $1::bigint
            and w.attempt > 1 and w.queue is null and (w.name = any($3::text[]) or (w.name || chr(10) || coalesce(w.version, '')) = any($3::text[]))
            and w.key = any(array(
                    select own.key from durable.workflows own where own.status = 'PENDING' and own.executor = $1::bigint
                    except select unnest($6::bigint[])))
          order by w.executor, w.key limit $5::bigint for update skip locked),
     chosen as (
         select free.*, marks.parked, case when not marks.parked then free.queue end as requeued
           from (select * from released union all select * from abandoned union all select * from lost) free
           left join known on known.name in (free.name, (free.name || chr(10) || coalesce(free.version, '')))
          cross join lateral (
                select free.crashed and known.most is not null and free.recoveries >= known.most as parked) marks
          cross join fence
          order by free.key limit $5::bigint)
     update durable.workflows w
        set status = case when c.parked then 'PARKED' when c.requeued is null then 'PENDING' else 'ENQUEUED' end,
            reason = case when c.parked then $7::text || w.recoveries || $8::text || w.recoveries || $9::text || w.id || '`'
                          else w.reason end,
            executor = case when c.parked then w.executor when c.requeued is null then $1::bigint end,
            attempt = case when c.parked or c.requeued is not null then w.attempt else w.attempt + 1 end,
            recoveries = case when c.crashed and not c.parked then w.recoveries + 1 else w.recoveries end,
            started_at = case when c.parked then w.started_at when c.requeued is null then now.now end
       from chosen c, (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) now
      where w.key = c.key
     returning w.key, w.id, w.name, w.instance, case when c.requeued is null then w.input else '' end as input, w.attempt, w.forked_from, w.recoveries, w.version, w.fingerprint, w.deadline, w.parent, case when c.parked then w.queue else c.requeued end as queue, w.partition_key, w.created_at, w.due_at, w.trace_context, c.parked;
