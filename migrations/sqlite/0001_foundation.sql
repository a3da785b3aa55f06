-- Workflows, their records, and the executors that run them.
--
-- The tables of postgres/0001_foundation.sql, where the columns are explained. Users may keep
-- tables of their own in the same file, so these have a prefix. A commit of SQLite writes whole
-- pages: integer keys and WITHOUT ROWID put the rows of concurrent workflows on the same few.

create table durable_workflows (
    key          integer primary key,
    id           text    not null unique,
    name         text    not null,
    instance     text,
    status       text    not null,
    executor     integer,
    attempt      integer not null default 1,
    recoveries   integer not null default 0,
    parent       integer,
    queue        text,
    created_at   integer not null,
    started_at   integer,
    completed_at integer,
    deadline     integer,
    timeout      integer,
    fingerprint  integer not null default 0,
    version      text,
    encoding     text,
    reason       text,
    input        text,                        -- NULL: it is large and in durable_inputs
    output       text,
    error        text
) strict;

create index durable_workflows_pending on durable_workflows (executor, key) where status = 'PENDING';
create index durable_workflows_parent on durable_workflows (parent) where parent is not null;

-- Inputs above a kilobyte. SQLite rewrites a whole row to change its status; Postgres keeps large
-- values apart by itself.
create table durable_inputs (
    workflow integer primary key,
    input    text not null
) strict;

create table durable_steps (
    workflow     integer not null,
    branch       text    not null,
    position     integer not null,
    kind         text    not null,
    name         text    not null,
    child        text,
    attempts     integer not null,
    started_at   integer not null,
    completed_at integer not null,
    encoding     text,
    output       text,
    error        text,
    primary key (workflow, branch, position)
) strict, without rowid;

create table durable_executors (
    key         integer primary key,
    name        text    not null,
    epoch       integer not null,
    state       text    not null,
    lease_until integer not null,
    started_at  integer not null,
    host        text    not null,
    lock_file   text,
    version     text
) strict;
