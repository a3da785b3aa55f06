-- Queues: the tables of postgres/0004_queues.sql, where the columns are explained.

alter table durable_workflows add column priority integer not null default 0;
alter table durable_workflows add column partition_key text not null default '';
alter table durable_workflows add column deduplication_id text;
alter table durable_workflows add column due_at integer;
alter table durable_workflows add column debounce_key text;
alter table durable_workflows add column debounce_until integer;

create table durable_queues (
    name                    text primary key,
    concurrency             integer,
    worker_concurrency      integer,
    rate_starts             integer,
    rate_period             integer,
    partitioned             integer not null default 0,
    partition_concurrency   integer,
    partition_rate_starts   integer,
    partition_rate_period   integer,
    changed                 integer not null default 0,
    paused                  integer not null default 0,
    created_at              integer not null
) strict;

-- The starts that a rate limit still counts; older rows are deleted by the claims.
create table durable_queue_starts (
    queue         text   not null,
    partition_key text   not null,
    started_at    integer not null,
    workflow      integer not null,
    primary key (queue, partition_key, started_at, workflow)
) strict, without rowid;
create index durable_queue_starts_window on durable_queue_starts (queue, started_at);

-- When each partition key had its last turn, so that they take turns. What is older than an hour is deleted:
-- such a key stands in line since its oldest workflow was enqueued.
create table durable_queue_partitions (
    queue         text   not null,
    partition_key text   not null,
    served_at     integer not null,
    primary key (queue, partition_key)
) strict, without rowid;
create index durable_queue_partitions_served on durable_queue_partitions (queue, served_at);

-- The line, in its order. What waits in it, and nothing else.
create index durable_workflows_enqueued on durable_workflows (queue, priority, created_at, key) where status = 'ENQUEUED';
-- The same for each partition key.
create index durable_workflows_partitions on durable_workflows (queue, partition_key, priority, created_at, key)
    where status = 'ENQUEUED';
create index durable_workflows_delayed on durable_workflows (due_at) where status = 'DELAYED';
create index durable_workflows_queue_pending on durable_workflows (queue, partition_key) where status = 'PENDING' and queue is not null;
create unique index durable_workflows_deduplicated on durable_workflows (queue, deduplication_id)
    where deduplication_id is not null and status in ('ENQUEUED', 'DELAYED', 'PENDING');
create unique index durable_workflows_debounced on durable_workflows (name, debounce_key)
    where debounce_key is not null and status = 'DELAYED';
