-- Calls that become one are those of one workflow on one instance.
drop index durable.workflows_debounced;
create unique index workflows_debounced on durable.workflows (name, coalesce(instance, ''), debounce_key)
    where debounce_key is not null and status = 'DELAYED';
