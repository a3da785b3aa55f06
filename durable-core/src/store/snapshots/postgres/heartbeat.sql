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
     clock as materialized (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now),
     beat as (
         update durable.executors set lease_until = clock.now + $3::bigint from clock
          where key = $1::bigint and epoch = $2::bigint
         returning 1)
     select 'fence_holds' as what, null::bigint as key, null::bigint as epoch, null::text as name, null::text as host,
            null::text as lock_file, null::text as status, null::boolean as expired, null::boolean as leaving
       from beat
     union all
     select 'now', clock.now, null, null, null, null, null, null, null from clock
     union all
     select 'orphans', null, null, null, null, null, null, null, null
      where exists (select 1 from durable.workflows where status = 'PENDING' and executor is null)
         or exists (select 1 from orphaned)
     union all
     select 'expired', e.key, e.epoch, e.name, e.host, e.lock_file, null, true, e.state = 'LEAVING'
       from durable.executors e, clock
      where e.state <> 'DEAD' and e.lease_until < clock.now and e.key <> $1::bigint
     union all
     select 'gone', w.key, null, null, null, null, w.status, null, null
       from (select * from unnest($4::bigint[]) limit cardinality($4::bigint[])) as running (key)
       join durable.workflows w on w.key = running.key
      where w.status <> 'PENDING' or w.executor is distinct from $1::bigint
     union all
     select 'not_running', key, null, null, null, null, null, null, null
       from (select w.key from durable.workflows w
              where w.status = 'PENDING' and w.executor = $1::bigint and w.key > $5::bigint and w.key <= $6::bigint
             except select unnest($4::bigint[])
             order by key limit 1000) w;
