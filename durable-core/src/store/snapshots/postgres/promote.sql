with clock as materialized (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now),
due as materialized (
    select w.key from durable.workflows w, clock
     where w.status = 'DELAYED' and w.due_at <= clock.now
     order by w.due_at limit $1::bigint for update of w skip locked),
promoted as (
    update durable.workflows w set status = 'ENQUEUED' from (select * from unnest(array(select key from due)) limit $1::bigint) as it (key)
     where w.key = it.key
    returning w.queue)
select clock.now,
       (select array_agg(distinct queue) from promoted) as queues,
       (select count(*) from promoted) as promoted,
       (select w.due_at from durable.workflows w
         where w.status = 'DELAYED' and w.key <> all(array(select key from due))
         order by w.due_at limit 1) as next_due
  from clock;
