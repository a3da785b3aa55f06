select 'now' as what, ?1 as number, null as key, null as id, null as status, null as output, null as error,
       null as reason
union all
select 'cancelled', w.key, null, null, null, null, null, null
  from durable_workflows w
 where w.status = 'CANCELLED' and w.executor = ?2 and w.completed_at >= ?3
union all
select case when w.key is null then 'missing' else 'end' end, 0, null, wanted.value as id, w.status, w.output, w.error, w.reason
  from json_each(?4) wanted left join durable_workflows w on w.id = wanted.value
 where w.key is null or w.status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')
union all
select 'message', wanted.key, m.key, null, null, m.payload, null, null
  from json_each(?5) wanted cross join durable_messages m
 where m.key = (select o.key from durable_messages o
                 where o.workflow = wanted.value ->> 0 and o.topic = wanted.value ->> 1
                   and o.received_at is null
                 order by o.sent_at, o.key limit 1)
union all
select 'event', number, null, null, status, value, null, null
  from (select wanted.key as number, w.status,
               (select e.value from durable_events e
                 where e.workflow = w.key and e.name = wanted.value ->> 1
                 order by e.set_at desc, e.key desc limit 1) as value
          from json_each(?6) wanted cross join durable_workflows w
         where w.id = wanted.value ->> 0)
 where value is not null or status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED')
union all
select case when has_items or status <> 'PARKED' then 'stream' else 'parked_stream' end, number,
       null, null, null, null, null, null
  from (select wanted.key as number, w.status, exists (
               select 1 from durable_streams s
                where s.workflow = w.key and s.name = wanted.value ->> 1
                  and (s.written_at, s.key) > (wanted.value ->> 2, wanted.value ->> 3)) as has_items
          from json_each(?7) wanted cross join durable_workflows w
         where w.id = wanted.value ->> 0)
 where has_items or status in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED');
