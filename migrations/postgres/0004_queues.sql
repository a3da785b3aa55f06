-- Queues: workflows that wait for their turn, and the limits they wait for.

alter table durable.workflows add column priority integer not null default 0;   -- the lesser goes first
alter table durable.workflows add column partition_key text not null default '';  -- '' is a key like any other
alter table durable.workflows add column deduplication_id text;
alter table durable.workflows add column due_at bigint;                          -- of a DELAYED one
alter table durable.workflows add column debounce_key text;
alter table durable.workflows add column debounce_until bigint;                  -- the latest it may be due

create table durable.queues (
    name                    text primary key,
    concurrency             integer,
    worker_concurrency      integer,
    rate_starts             integer,
    rate_period             bigint,           -- microseconds
    partitioned             boolean not null default false,
    partition_concurrency   integer,
    partition_rate_starts   integer,
    partition_rate_period   bigint,
    changed                 boolean not null default false,  -- the limits are no longer those of the code
    paused                  boolean not null default false,
    created_at              bigint not null
);

-- The starts that a rate limit still counts; older rows are deleted by the claims.
create table durable.queue_starts (
    queue         text   not null,
    partition_key text   not null,            -- '' without one
    started_at    bigint not null,
    workflow      bigint not null,
    primary key (queue, partition_key, started_at, workflow)
);
create index queue_starts_window on durable.queue_starts (queue, started_at);

-- When each partition key had its last turn, so that they take turns. What is older than an hour is deleted:
-- such a key stands in line since its oldest workflow was enqueued.
create table durable.queue_partitions (
    queue         text   not null,
    partition_key text   not null,
    served_at     bigint not null,
    primary key (queue, partition_key)
);
create index queue_partitions_served on durable.queue_partitions (queue, served_at);

-- The line, in its order. What waits in it, and nothing else.
create index workflows_enqueued on durable.workflows (queue, priority, created_at, key) where status = 'ENQUEUED';
-- The same for each partition key. The second condition always holds: it keeps the planner from taking
-- this index, with a sort, for what does not ask about keys.
create index workflows_partitions on durable.workflows (queue, partition_key, priority, created_at, key)
    where status = 'ENQUEUED' and partition_key >= '';
create index workflows_delayed on durable.workflows (due_at) where status = 'DELAYED';
create index workflows_queue_pending on durable.workflows (queue, partition_key) where status = 'PENDING' and queue is not null;
create unique index workflows_deduplicated on durable.workflows (queue, deduplication_id)
    where deduplication_id is not null and status in ('ENQUEUED', 'DELAYED', 'PENDING');
create unique index workflows_debounced on durable.workflows (name, debounce_key)
    where debounce_key is not null and status = 'DELAYED';
