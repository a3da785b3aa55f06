update durable.workflows set status = $5, output = $6, error = $7, reason = $8, completed_at = case when $5 = 'PARKED' then null else clock.now end
 from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) clock
where key = $3 and attempt = $4 and status = 'PENDING' and executor = $1 and (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share) = 1;
