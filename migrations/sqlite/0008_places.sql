-- Calls that become one are those of one workflow on one instance. The functions of
-- postgres/0008_places.sql have no counterpart here.
drop index durable_workflows_debounced;
create unique index durable_workflows_debounced on durable_workflows (name, coalesce(instance, ''), debounce_key)
    where debounce_key is not null and status = 'DELAYED';
