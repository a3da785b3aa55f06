with asked as (
    select w.key from durable.workflows w where w.id = any($1::text[])
    union all
    select c.key from unnest($2::bigint[]) as parents (key)
     cross join lateral (
           select w.key from durable.workflows w where w.parent = parents.key offset 0) c),
before as materialized (
    select w.key, w.id, w.name, w.queue, w.status, w.executor from durable.workflows w
     where w.key in (select key from asked) order by w.key for update),
changed as (
    update durable.workflows w set status = 'CANCELLED', reason = $3::text, completed_at = c.now
      from before b, (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c
     where w.key = b.key and b.status not in ('SUCCESS', 'ERROR', 'CANCELLED')
    returning w.key)
select b.key, b.id, b.name, b.queue, b.status, b.executor, c.key is not null as stopped
  from before b left join changed c on c.key = b.key
 order by b.key;
