insert into durable_steps (workflow, branch, position, kind, name, child, attempts, output, error, failures, started_at, completed_at)
select ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?14 - ?13, ?14
 where exists (select 1 from durable_executors where key = ?1 and epoch = ?2);
