-- Schedules of workflows that are methods.

alter table durable.schedules add column instance text;   -- the name of the instance
