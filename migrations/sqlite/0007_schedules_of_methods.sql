-- Schedules of workflows that are methods: see postgres/0007_schedules_of_methods.sql.

alter table durable_schedules add column instance text;
