-- The tables of durable in SQLite. They are those of postgres/0001_foundation.sql, with a prefix
-- instead of a schema, because applications may keep tables of their own in the same file.
--
-- Times and durations are microseconds. Times are counted from 1970, by the clock of this machine.
-- Keys are made by the engine. They increase, so that rows of one time lie next to each other: a
-- commit writes whole pages, and integer keys and WITHOUT ROWID put the rows of workflows that run
-- at the same time on the same few pages.
-- Payloads are JSON text, with NULL as their `encoding`; any other value is reserved for later.

-- One row per workflow, from its start until it is deleted.
create table durable_workflows (
    key              integer primary key,         -- internal
    id               text    not null unique,     -- what users give, or get
    name             text    not null,            -- the registered name of the function
    instance         text,                        -- the registered object, if the function is a method
    status           text    not null,            -- ENQUEUED, DELAYED, PENDING, SUCCESS, ERROR, CANCELLED or PARKED
    reason           text,                        -- why it is CANCELLED or PARKED

    -- What started it.
    parent           integer,                     -- the key of the workflow that started it
    version          text,                        -- the version of the program that started it
    fingerprint      integer not null default 0,  -- a hash of the function's source when it was started
    application      text,                        -- the application that started it
    started_by       text,                        -- the user on whose behalf it was started
    trace_context    text,                        -- the W3C trace context of the call that started it
    labels           text,                        -- a JSON object of texts; also in the table of labels
    forked_from      text,                        -- the id of the workflow that it is a fork of

    -- Its runs.
    executor         integer,                     -- the key of the executor that runs it, or ran it last;
                                                  -- NULL while PENDING: released, any executor may take it
    attempt          integer not null default 1,  -- how many runs were begun
    recoveries       integer not null default 0,  -- how many of them were takeovers after a crash
    timeout          integer,                     -- how long it may run, counted from its first run
    deadline         integer,                     -- when its time is up
    created_at       integer not null,
    started_at       integer,                     -- when the last run was begun
    completed_at     integer,                     -- when it reached SUCCESS, ERROR or CANCELLED

    -- Its place on a queue.
    queue            text,                        -- NULL: it is run by the process that started it
    priority         integer not null default 0,  -- the lowest goes first
    partition_key    text    not null default '', -- workflows of one key run in order; '' is none
    deduplication_id text,                        -- one on a queue while ENQUEUED, DELAYED or PENDING
    due_at           integer,                     -- when a DELAYED workflow becomes ENQUEUED
    debounce_key     text,                        -- further calls with this key replace the arguments while DELAYED
    debounce_until   integer,                     -- the latest time to which those calls may move `due_at`

    -- What it was given, and what it returned. These are last, because they can be large.
    encoding         text,                        -- of input, output and error
    input            text,                        -- a JSON object with a value for each argument;
                                                  -- NULL: it is large, and in durable_inputs
    output           text,                        -- of a workflow that is a SUCCESS
    error            text                         -- of a workflow that is an ERROR
) strict;

-- The partial indexes hold only workflows that have not ended.
create index durable_workflows_pending on durable_workflows (executor, key) where status = 'PENDING';
create index durable_workflows_parent on durable_workflows (parent, key) where parent is not null;
-- What an executor asks for regularly: whether a workflow that it runs was cancelled.
create index durable_workflows_cancelled on durable_workflows (executor, completed_at) where status = 'CANCELLED';

-- A queue in its order.
create index durable_workflows_enqueued on durable_workflows (queue, priority, created_at, key) where status = 'ENQUEUED';
-- The workflows of each partition key, in their order.
create index durable_workflows_partitions on durable_workflows (queue, partition_key, priority, created_at, key)
    where status = 'ENQUEUED' and partition_key <> '';
-- The partition keys of each priority as they take turns: the last characters backwards, so that keys which
-- are numbered on do not all stand at the end, and then the key.
create index durable_workflows_turns on durable_workflows
    (queue, priority, (substr(partition_key, -1, 1) || substr(partition_key, -2, 1) || substr(partition_key, -3, 1)
     || substr(partition_key, -4, 1) || substr(partition_key, -5, 1) || substr(partition_key, -6, 1)
     || substr(partition_key, -7, 1) || substr(partition_key, -8, 1) || partition_key), created_at, key)
    where status = 'ENQUEUED' and partition_key <> '';
-- The workflows without a partition key, by what a process has to know to run them.
create index durable_workflows_keyless on durable_workflows
    (queue, (name || char(10) || coalesce(version, '')), priority, created_at, key)
    where status = 'ENQUEUED' and partition_key = '';
create index durable_workflows_delayed on durable_workflows (due_at) where status = 'DELAYED';
create index durable_workflows_queue_pending on durable_workflows (queue, partition_key)
    where status = 'PENDING' and queue is not null;
create unique index durable_workflows_deduplicated on durable_workflows (queue, deduplication_id)
    where deduplication_id is not null and status in ('ENQUEUED', 'DELAYED', 'PENDING');
create unique index durable_workflows_debounced on durable_workflows (name, coalesce(instance, ''), debounce_key)
    where debounce_key is not null and status = 'DELAYED';

-- What listings go by, in the order of the keys, which is that of the starts.
create index durable_workflows_by_status on durable_workflows (status, key) where status <> 'SUCCESS';
create index durable_workflows_by_name on durable_workflows (name, key);
create index durable_workflows_by_queue on durable_workflows (queue, key) where queue is not null;
create index durable_workflows_completed on durable_workflows (completed_at, key) where completed_at is not null;

-- The labels of workflows, one row each, to find workflows by them.
create table durable_labels (
    workflow integer not null,                    -- workflows.key
    name     text    not null,
    value    text    not null,
    primary key (workflow, name)
) strict, without rowid;
create index durable_labels_by_value on durable_labels (name, value, workflow);

-- A statement that writes `labels` writes that table with it. Workflows without labels cost nothing.
create trigger durable_workflows_labeled after insert on durable_workflows when new.labels is not null begin
    insert into durable_labels (workflow, name, value)
    select new.key, l.key, l.value from json_each(new.labels) l;
end;
create trigger durable_workflows_relabeled after update of labels on durable_workflows
    when new.labels is not old.labels begin
    delete from durable_labels where workflow = new.key;
    insert into durable_labels (workflow, name, value)
    select new.key, l.key, l.value from json_each(coalesce(new.labels, '{}')) l;
end;

-- Inputs above a kilobyte. SQLite writes a whole row again to change its status; Postgres keeps large
-- values apart by itself.
create table durable_inputs (
    workflow integer primary key,                 -- workflows.key
    input    text not null
) strict;

-- The journal: one row per completed operation of a workflow. A replay reads these instead of running
-- the operations again.
create table durable_steps (
    workflow     integer not null,                -- workflows.key
    branch       text    not null,                -- '' for the body, else the position that made the branch
    position     integer not null,                -- the number of the call within its branch
    kind         text    not null,                -- step, workflow, sleep, recv ...
    name         text    not null,                -- the name of the step, the topic ...
    child        text,                            -- the id of the workflow that it started
    attempts     integer not null,                -- how many it took
    failures     text,                            -- the errors of all attempts but the last, a JSON array of texts
    started_at   integer not null,
    completed_at integer not null,
    encoding     text,                            -- of output and error
    output       text,
    error        text,
    primary key (workflow, branch, position)
) strict, without rowid;

-- The application that these tables belong to: the one that was launched on them first. Another one is refused,
-- unless it says that it shares them.
create table durable_application (
    only_row integer primary key check (only_row = 1),
    name     text not null
) strict;

-- One row per launch of a program. A heartbeat writes to this row and to no other table.
create table durable_executors (
    key         integer primary key,
    name        text    not null,                 -- as configured, or made of host and process
    epoch       integer not null,                 -- the fence: a takeover raises it, and whatever the executor
                                                  -- then writes with its old epoch is not stored
    state       text    not null,                 -- LIVE, LEAVING (it shuts down) or DEAD (it was taken over)
    lease_until integer not null,                 -- prolonged by heartbeats; others take over after it
    started_at  integer not null,
    host        text    not null,
    lock_file   text,                             -- on that host, locked while the process lives
    version     text,                             -- of the program
    takes       text,                             -- JSON: the names of its workflows and of the queues it takes from
    was_alive   integer not null default 0        -- it was taken over although its process had not ended
) strict;

-- Work that one executor does for all of them.
create table durable_maintenance (
    task       text    primary key,
    executor   integer not null,                  -- executors.key
    held_until integer not null                   -- after it, or when that executor is gone, another one may do it
) strict, without rowid;

-- Messages to workflows.
create table durable_messages (
    key             integer primary key,
    workflow        integer not null,             -- workflows.key of the receiver
    topic           text   not null,
    sent_at         integer not null,
    received_at     integer,                      -- NULL: not received yet
    idempotency_key text,                         -- a workflow takes one message with this key on a topic
    encoding        text,
    payload         text   not null
) strict;

-- What was not received yet, the oldest first.
create index durable_messages_waiting on durable_messages (workflow, topic, sent_at, key) where received_at is null;
-- What was received, too.
create index durable_messages_workflow on durable_messages (workflow);
create unique index durable_messages_once on durable_messages (workflow, topic, idempotency_key) where idempotency_key is not null;

-- The values of events. The last value is the event's; the earlier ones are its history.
create table durable_events (
    workflow     integer not null,                -- workflows.key
    name         text    not null,
    set_at       integer not null,                -- later than that of every earlier value
    key          integer not null,                -- orders the values that were set in one commit
    branch       text    not null,                -- the position of the call, or of the step that made it
    position     integer not null,
    encoding     text,
    value        text    not null,
    primary key (workflow, name, set_at, key)
) strict, without rowid;

-- The items of streams.
create table durable_streams (
    workflow     integer not null,                -- workflows.key
    name         text    not null,
    written_at   integer not null,                -- later than that of every earlier item
    key          integer not null,                -- orders the items that were written in one commit
    branch       text    not null,                -- the position of the call, or of the step that made it
    position     integer not null,
    encoding     text,
    value        text,                            -- NULL: the end of the stream
    primary key (workflow, name, written_at, key)
) strict, without rowid;

-- The queues that programs have declared, and their limits. NULL is no limit.
create table durable_queues (
    name                  text    primary key,
    concurrency           integer,                -- how many run at once, in all processes together
    worker_concurrency    integer,                -- how many run at once in one process
    rate_starts           integer,                -- how many are started within ...
    rate_period           integer,                -- ... any period of this length
    partitioned           integer not null default 0, -- whether a workflow needs a partition key
    partition_concurrency integer,                -- how many run at once for one partition key
    partition_rate_starts integer,                -- how many are started for one partition key within ...
    partition_rate_period integer,                -- ... any period of this length
    changed               integer not null default 0, -- the limits were changed at run time: the ones in the
                                                  -- code no longer replace them
    paused                integer not null default 0, -- nothing is claimed from it
    created_at            integer not null
) strict;

-- The starts that a rate limit still counts. Claims delete what is older.
create table durable_queue_starts (
    queue         text   not null,
    partition_key text   not null,
    started_at    integer not null,
    workflow      integer not null,               -- workflows.key
    primary key (queue, partition_key, started_at, workflow)
) strict, without rowid;
create index durable_queue_starts_window on durable_queue_starts (queue, started_at);

-- Where the turns of the partition keys of each priority stand. Claims delete what is older than an hour:
-- such turns begin again with the first key.
create table durable_queue_turns (
    queue         text    not null,
    priority      integer not null,
    partition_key text    not null,               -- the key that was served last; '' is none
    keyless       integer not null,               -- whether a workflow without a key was started after that
    served_at     integer not null,
    primary key (queue, priority)
) strict, without rowid;
create index durable_queue_turns_served on durable_queue_turns (queue, served_at);

-- What is started when. A tick is a workflow with the id `<schedule>@<tick>`.
create table durable_schedules (
    name       text    primary key,               -- that of the workflow, for a schedule in the code
    workflow   text    not null,                  -- the registered name of the function
    instance   text,                              -- the registered object, if the function is a method
    cron       text    not null,                  -- a crontab expression
    timezone   text    not null,                  -- a name of the tz database
    misfire    text    not null,                  -- what happens to missed ticks: skip, once or all
    overlap    text    not null,                  -- while the last tick still runs: allow or skip
    input      text,                              -- the arguments, a JSON object; those of a schedule in the code have
                                                  -- 1970-01-01T00:00:00Z for the tick, and a second later for the start
    queue      text,                              -- that of the workflow's attribute, if it has one
    timeout    integer,                            -- likewise, in microseconds
    in_code    integer not null,                  -- whether it is part of a program
    paused     integer not null default 0,        -- nothing is started
    last_tick  integer not null,                  -- the last tick that was started or skipped
    created_at integer not null
) strict;
