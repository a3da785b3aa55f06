insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
select $3::bigint, $4::text, $5::integer, $6::text, $7::text, $8::text, $9::integer, $10::text, $11::text, $12::text, clock.now - $13, clock.now from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) clock
 where (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share) = 1;
