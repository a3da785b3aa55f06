-- What workflows say: messages to one workflow, events and streams for everybody.

create table durable.messages (
    key             bigint primary key,       -- made by the sender, increasing
    workflow        bigint not null,          -- durable.workflows.key of the receiver
    topic           text   not null,
    sent_at         bigint not null,
    received_at     bigint,                   -- NULL: it waits
    idempotency_key text,
    encoding        text,
    payload         text   not null
);

-- The line in which messages wait, the oldest first.
create index messages_waiting on durable.messages (workflow, topic, sent_at, key) where received_at is null;
create unique index messages_once on durable.messages (workflow, idempotency_key) where idempotency_key is not null;

-- The value of an event is the last one; the earlier ones are its history.
create table durable.events (
    workflow     bigint  not null,            -- durable.workflows.key
    name         text    not null,
    set_at       bigint  not null,            -- later than that of every earlier value
    key          bigint  not null,            -- orders what was set in one commit
    branch       text    not null,            -- the position of the call, or of the step that made it
    position     integer not null,
    encoding     text,
    value        text    not null,
    primary key (workflow, name, set_at, key)
);

create table durable.streams (
    workflow     bigint  not null,
    name         text    not null,
    written_at   bigint  not null,            -- later than that of every earlier item
    key          bigint  not null,
    branch       text    not null,
    position     integer not null,
    encoding     text,
    value        text,                        -- NULL: the stream ends here
    primary key (workflow, name, written_at, key)
);

-- What an executor asks for now and then: whether something it runs was cancelled.
create index workflows_cancelled on durable.workflows (executor, completed_at) where status = 'CANCELLED';
