-- Workflows, their records, and the executors that run them.
--
-- The schema's name is written `durable.` throughout; the engine puts the configured name there.
-- Times are microseconds since 1970, from this database's clock. Payloads are JSON text; a NULL
-- `encoding` says so.

create table durable.workflows (
    key          bigint primary key,          -- internal, increasing, made by the engine
    id           text   not null unique,      -- what users give or get
    name         text   not null,             -- the registered function
    instance     text,                        -- the registered object it is a method of
    status       text   not null,             -- ENQUEUED DELAYED PENDING SUCCESS ERROR CANCELLED PARKED
    executor     bigint,                      -- who runs it; NULL while PENDING: released, free to take
    attempt      integer not null default 1,  -- how many times it has begun to run
    recoveries   integer not null default 0,  -- how many of those were takeovers after a crash
    parent       bigint,                      -- the workflow that started it
    queue        text,
    created_at   bigint not null,
    started_at   bigint,
    completed_at bigint,
    deadline     bigint,                      -- a timeout that has begun to run
    timeout      bigint,                      -- a timeout that has not
    fingerprint  bigint not null default 0,   -- of the function's source tokens
    version      text,                        -- of the program that started it
    encoding     text,
    reason       text,                        -- why it is CANCELLED or PARKED
    input        text   not null,
    output       text,
    error        text
) with (fillfactor = 85);

-- Only the living are indexed. Nobody looks for finished workflows but by key or id.
create index workflows_pending on durable.workflows (executor, key) where status = 'PENDING';
create index workflows_parent on durable.workflows (parent) where parent is not null;

create table durable.steps (
    workflow     bigint  not null,            -- durable.workflows.key
    branch       text    not null,            -- '' for the body, else the position that made the branch
    position     integer not null,
    kind         text    not null,            -- step, workflow, result ...
    name         text    not null,
    child        text,                        -- the id of the workflow it started
    attempts     integer not null,
    started_at   bigint  not null,
    completed_at bigint  not null,
    encoding     text,
    output       text,
    error        text,
    primary key (workflow, branch, position)
);

-- One row per launch. A heartbeat touches this row and no other table.
create table durable.executors (
    key         bigint primary key,
    name        text    not null,             -- configured, or host and process
    epoch       bigint  not null,             -- the fence: raised by whoever takes over
    state       text    not null,             -- LIVE, LEAVING (shutting down), DEAD (deposed)
    lease_until bigint  not null,
    started_at  bigint  not null,
    host        text    not null,
    lock_file   text,                         -- held by the living process, on its host
    version     text
);
