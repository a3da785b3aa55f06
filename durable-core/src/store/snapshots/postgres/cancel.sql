with recursive family (key) as (
    select key from durable.workflows where id = $1::text
    union
    select c.key from family f
     cross join lateral (
           select w.key from durable.workflows w where w.parent = f.key and $3::boolean offset 0) c),
before as materialized (
    select w.key, w.id, w.status, w.executor from durable.workflows w
     where w.key in (select key from family) and (w.status not in ('SUCCESS', 'ERROR', 'CANCELLED') or w.id = $1::text)
     order by w.key for update),
changed as (
    update durable.workflows w set status = 'CANCELLED', reason = $2::text, completed_at = c.now
      from before b, (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) c
     where w.key = b.key and b.status not in ('SUCCESS', 'ERROR', 'CANCELLED')
    returning w.key)
select b.id, b.status, b.executor, b.id = $1::text as asked, c.key is not null as stopped
  from before b left join changed c on c.key = b.key
 order by b.key;
