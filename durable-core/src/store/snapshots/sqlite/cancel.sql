update durable_workflows set status = 'CANCELLED', reason = ?2, completed_at = ?3
where key in (select value from json_each(?1)) and status not in ('SUCCESS', 'ERROR', 'CANCELLED');
