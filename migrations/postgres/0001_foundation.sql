-- The tables of durable, and what every column means.
--
-- The schema is written `durable.` throughout; the engine puts the configured name there.
-- Times and durations are microseconds. Times are counted from 1970, by the clock of this database.
-- Keys are made by the engine. They increase, so that rows of one time lie next to each other.
-- Payloads are JSON text, with NULL as their `encoding`; any other value is reserved for later.

-- One row per workflow, from its start until it is deleted.
create table durable.workflows (
    key              bigint  primary key,         -- internal
    id               text    collate "C" not null unique, -- what users give, or get
    name             text    not null,            -- the registered name of the function
    instance         text,                        -- the registered object, if the function is a method
    status           text    not null,            -- ENQUEUED, DELAYED, PENDING, SUCCESS, ERROR, CANCELLED or PARKED
    reason           text,                        -- why it is CANCELLED or PARKED

    -- What started it.
    parent           bigint,                      -- the key of the workflow that started it
    version          text,                        -- the version of the program that started it
    fingerprint      bigint  not null default 0,  -- a hash of the function's source when it was started
    application      text,                        -- the application that started it
    started_by       text,                        -- the user on whose behalf it was started
    trace_context    text,                        -- the W3C trace context of the call that started it
    labels           text,                        -- a JSON object of texts; also in the table of labels
    forked_from      text,                        -- the id of the workflow that it is a fork of

    -- Its runs.
    executor         bigint,                      -- the key of the executor that runs it, or ran it last;
                                                  -- NULL while PENDING: released, any executor may take it
    attempt          integer not null default 1,  -- how many runs were begun
    recoveries       integer not null default 0,  -- how many of them were takeovers after a crash
    timeout          bigint,                      -- how long it may run, counted from its first run
    deadline         bigint,                      -- when its time is up
    created_at       bigint  not null,
    started_at       bigint,                      -- when the last run was begun
    completed_at     bigint,                      -- when it reached SUCCESS, ERROR or CANCELLED

    -- Its place on a queue.
    queue            text,                        -- NULL: it is run by the process that started it
    priority         integer not null default 0,  -- the lowest goes first
    partition_key    text    not null default '', -- workflows of one key run in order; '' is none
    deduplication_id text,                        -- one on a queue while ENQUEUED, DELAYED or PENDING
    due_at           bigint,                      -- when a DELAYED workflow becomes ENQUEUED
    debounce_key     text,                        -- further calls with this key replace the arguments while DELAYED
    debounce_until   bigint,                      -- the latest time to which those calls may move `due_at`

    -- What it was given, and what it returned. These are last, because they can be large.
    encoding         text,                        -- of input, output and error
    input            text    not null,            -- a JSON object with a value for each argument
    output           text,                        -- of a workflow that is a SUCCESS
    error            text                         -- of a workflow that is an ERROR
) with (fillfactor = 85);

-- The partial indexes hold only workflows that have not ended.
create index workflows_pending on durable.workflows (executor, key) where status = 'PENDING';
create index workflows_parent on durable.workflows (parent, key) where parent is not null;
-- What an executor asks for regularly: whether a workflow that it runs was cancelled.
create index workflows_cancelled on durable.workflows (executor, completed_at) where status = 'CANCELLED';

-- A queue in its order.
create index workflows_enqueued on durable.workflows (queue, priority, created_at, key) where status = 'ENQUEUED';
-- The workflows of each partition key, in their order.
create index workflows_partitions on durable.workflows (queue, partition_key, priority, created_at, key)
    where status = 'ENQUEUED' and partition_key > '';
-- The partition keys of each priority as they take turns: read backwards, so that keys which are numbered
-- on do not all stand at the end. The last condition is always true: it keeps the planner from using this
-- index, and the next one, with a sort, for statements that do not ask for it.
create index workflows_turns on durable.workflows
    (queue, priority, (reverse(partition_key) collate "C"), created_at, key)
    where status = 'ENQUEUED' and partition_key > '' and name >= '';
-- The workflows without a partition key, by what a process has to know to run them.
create index workflows_keyless on durable.workflows
    (queue, (name || chr(10) || coalesce(version, '')), priority, created_at, key)
    where status = 'ENQUEUED' and partition_key = '' and name >= '';
create index workflows_delayed on durable.workflows (due_at) where status = 'DELAYED';
create index workflows_queue_pending on durable.workflows (queue, partition_key)
    where status = 'PENDING' and queue is not null;
create unique index workflows_deduplicated on durable.workflows (queue, deduplication_id)
    where deduplication_id is not null and status in ('ENQUEUED', 'DELAYED', 'PENDING');
create unique index workflows_debounced on durable.workflows (name, coalesce(instance, ''), debounce_key)
    where debounce_key is not null and status = 'DELAYED';

-- What listings go by, in the order of the keys, which is that of the starts.
create index workflows_by_status on durable.workflows (status, key) where status <> 'SUCCESS';
create index workflows_by_name on durable.workflows (name, key);
create index workflows_by_queue on durable.workflows (queue, key) where queue is not null;
create index workflows_completed on durable.workflows (completed_at, key) where completed_at is not null;

-- The labels of workflows, one row each, to find workflows by them.
create table durable.labels (
    workflow bigint not null,                     -- workflows.key
    name     text   not null,
    value    text   not null,
    primary key (workflow, name)
);
create index labels_by_value on durable.labels (name, value, workflow);

-- A statement that writes `workflows.labels` writes that table with it. Workflows without labels cost nothing.
create function durable._label() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $durable$
begin
    delete from durable.labels where workflow = new.key;
    insert into durable.labels (workflow, name, value)
    select new.key, l.key, l.value from json_each_text(new.labels::json) l;
    return null;
end
$durable$;
create trigger workflows_labeled after insert on durable.workflows
    for each row when (new.labels is not null) execute function durable._label();
create trigger workflows_relabeled after update of labels on durable.workflows
    for each row when (new.labels is distinct from old.labels) execute function durable._label();

-- The journal: one row per completed operation of a workflow. A replay reads these instead of running
-- the operations again.
create table durable.steps (
    workflow     bigint  not null,                -- workflows.key
    branch       text    not null,                -- '' for the body, else the position that made the branch
    position     integer not null,                -- the number of the call within its branch
    kind         text    not null,                -- step, workflow, sleep, recv ...
    name         text    not null,                -- the name of the step, the topic ...
    child        text    collate "C",             -- the id of the workflow that it started
    attempts     integer not null,                -- how many it took
    failures     text,                            -- the errors of all attempts but the last, a JSON array of texts
    started_at   bigint  not null,
    completed_at bigint  not null,
    encoding     text,                            -- of output and error
    output       text,
    error        text,
    primary key (workflow, branch, position)
);

-- The application that these tables belong to: the one that was launched on them first. Another one is refused,
-- unless it says that it shares them.
create table durable.application (
    only_row boolean primary key default true check (only_row),
    name     text not null
);

-- One row per launch of a program. A heartbeat writes to this row and to no other table.
create table durable.executors (
    key         bigint  primary key,
    name        text    not null,                 -- as configured, or made of host and process
    epoch       bigint  not null,                 -- the fence: a takeover raises it, and whatever the executor
                                                  -- then writes with its old epoch is not stored
    state       text    not null,                 -- LIVE, LEAVING (it shuts down) or DEAD (it was taken over)
    lease_until bigint  not null,                 -- prolonged by heartbeats; others take over after it
    started_at  bigint  not null,
    host        text    not null,
    lock_file   text,                             -- on that host, locked while the process lives
    version     text,                             -- of the program
    takes       text,                             -- JSON: the names of its workflows and of the queues it takes from
    was_alive   boolean not null default false    -- it was taken over although its process had not ended
);

-- Work that one executor does for all of them.
create table durable.maintenance (
    task       text   primary key,
    executor   bigint not null,                   -- executors.key
    held_until bigint not null                    -- after it, or when that executor is gone, another one may do it
);

-- Messages to workflows.
create table durable.messages (
    key             bigint primary key,
    workflow        bigint not null,              -- workflows.key of the receiver
    topic           text   not null,
    sent_at         bigint not null,
    received_at     bigint,                       -- NULL: not received yet
    idempotency_key text,                         -- a workflow takes one message with this key on a topic
    encoding        text,
    payload         text   not null
);

-- What was not received yet, the oldest first.
create index messages_waiting on durable.messages (workflow, topic, sent_at, key) where received_at is null;
-- What was received, too.
create index messages_workflow on durable.messages (workflow);
create unique index messages_once on durable.messages (workflow, topic, idempotency_key) where idempotency_key is not null;

-- The values of events. The last value is the event's; the earlier ones are its history.
create table durable.events (
    workflow     bigint  not null,                -- workflows.key
    name         text    not null,
    set_at       bigint  not null,                -- later than that of every earlier value
    key          bigint  not null,                -- orders the values that were set in one commit
    branch       text    not null,                -- the position of the call, or of the step that made it
    position     integer not null,
    encoding     text,
    value        text    not null,
    primary key (workflow, name, set_at, key)
);

-- The items of streams.
create table durable.streams (
    workflow     bigint  not null,                -- workflows.key
    name         text    not null,
    written_at   bigint  not null,                -- later than that of every earlier item
    key          bigint  not null,                -- orders the items that were written in one commit
    branch       text    not null,                -- the position of the call, or of the step that made it
    position     integer not null,
    encoding     text,
    value        text,                            -- NULL: the end of the stream
    primary key (workflow, name, written_at, key)
);

-- The queues that programs have declared, and their limits. NULL is no limit.
create table durable.queues (
    name                  text    primary key,
    concurrency           integer,                -- how many run at once, in all processes together
    worker_concurrency    integer,                -- how many run at once in one process
    rate_starts           integer,                -- how many are started within ...
    rate_period           bigint,                 -- ... any period of this length
    partitioned           boolean not null default false, -- whether a workflow needs a partition key
    partition_concurrency integer,                -- how many run at once for one partition key
    partition_rate_starts integer,                -- how many are started for one partition key within ...
    partition_rate_period bigint,                 -- ... any period of this length
    changed               boolean not null default false, -- the limits were changed at run time: the ones in the
                                                  -- code no longer replace them
    paused                boolean not null default false, -- nothing is claimed from it
    created_at            bigint  not null
);

-- The starts that a rate limit still counts. Claims delete what is older.
create table durable.queue_starts (
    queue         text   not null,
    partition_key text   not null,
    started_at    bigint not null,
    workflow      bigint not null,                -- workflows.key
    primary key (queue, partition_key, started_at, workflow)
);
-- The condition is always true: it keeps the planner from reading the starts of all keys for those of one.
create index queue_starts_window on durable.queue_starts (queue, started_at) where partition_key >= '';

-- Where the turns of the partition keys of each priority stand. Claims delete what is older than an hour:
-- such turns begin again with the first key.
create table durable.queue_turns (
    queue         text    not null,
    priority      integer not null,
    partition_key text    not null,               -- the key that was served last; '' is none
    keyless       boolean not null,               -- whether a workflow without a key was started after that
    served_at     bigint  not null,
    primary key (queue, priority)
);
create index queue_turns_served on durable.queue_turns (queue, served_at);

-- What is started when. A tick is a workflow with the id `<schedule>@<tick>`.
create table durable.schedules (
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
    timeout    bigint,                            -- likewise, in microseconds
    in_code    boolean not null,                  -- whether it is part of a program
    paused     boolean not null default false,    -- nothing is started
    last_tick  bigint  not null,                  -- the last tick that was started or skipped
    created_at bigint  not null
);
