update durable_workflows set status = ?5, output = ?6, error = ?7, reason = ?8, completed_at = case when ?5 = 'PARKED' then null else ?9 end
where key = ?3 and attempt = ?4 and status = 'PENDING' and executor = ?1 and exists (select 1 from durable_executors where key = ?1 and epoch = ?2);
