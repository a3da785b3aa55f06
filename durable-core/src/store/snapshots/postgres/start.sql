insert into durable.workflows (key, id, name, instance, parent, version, fingerprint, timeout, deadline, application, started_by, trace_context, labels, input, status, executor, attempt, created_at, started_at)
select $3::bigint, $4::text, $5::text, $6::text, $7::bigint, $8::text, $9::bigint, $10::bigint, $11::bigint, $12::text, $13::text, $14::text, $15::text, $16::text, 'PENDING', $1, 1, clock.now, clock.now from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) clock
 where (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share) = 1
on conflict (id) do nothing;
