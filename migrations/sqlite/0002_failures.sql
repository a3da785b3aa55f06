-- The errors of the attempts that failed before the one that is recorded: a JSON array of texts.
alter table durable_steps add column failures text;
