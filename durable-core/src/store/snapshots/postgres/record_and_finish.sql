with clock as materialized (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now),
done as (
    update durable.workflows
       set status = $5, output = $6, error = $7, reason = $8, completed_at = case when $5 = 'PARKED' then null else (select now from clock) end
     where key = $3 and attempt = $4 and status = 'PENDING' and executor = $1 and (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share) = 1
    returning key)
insert into durable.steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
select $9::bigint, $10::text, $11::integer, $12::text, $13::text, $14::text, $15::integer, $16::text, $17::text, $18::text, clock.now - $19, clock.now from done, clock;
