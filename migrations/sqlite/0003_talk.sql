-- What workflows say: the tables of postgres/0003_talk.sql, where the columns are explained.

create table durable_messages (
    key             integer primary key,
    workflow        integer not null,
    topic           text    not null,
    sent_at         integer not null,
    received_at     integer,
    idempotency_key text,
    encoding        text,
    payload         text    not null
) strict;

create index durable_messages_waiting on durable_messages (workflow, topic, sent_at, key) where received_at is null;
create unique index durable_messages_once on durable_messages (workflow, idempotency_key) where idempotency_key is not null;

create table durable_events (
    workflow     integer not null,
    name         text    not null,
    set_at       integer not null,
    key          integer not null,
    branch       text    not null,
    position     integer not null,
    encoding     text,
    value        text    not null,
    primary key (workflow, name, set_at, key)
) strict, without rowid;

create table durable_streams (
    workflow     integer not null,
    name         text    not null,
    written_at   integer not null,
    key          integer not null,
    branch       text    not null,
    position     integer not null,
    encoding     text,
    value        text,
    primary key (workflow, name, written_at, key)
) strict, without rowid;

create index durable_workflows_cancelled on durable_workflows (executor, completed_at) where status = 'CANCELLED';
