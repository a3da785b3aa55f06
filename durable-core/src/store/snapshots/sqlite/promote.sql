update durable_workflows set status = 'ENQUEUED'
 where key in (select key from durable_workflows indexed by durable_workflows_delayed
                where status = 'DELAYED' and due_at <= ?1 order by due_at limit ?2)
returning queue;
