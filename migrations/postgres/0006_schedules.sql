-- What is to be started when.

create table durable.schedules (
    name       text    primary key,
    workflow   text    not null,              -- the registered name
    cron       text    not null,
    timezone   text    not null,
    misfire    text    not null,              -- skip, once, all
    overlap    text    not null,              -- allow, skip
    input      text,                          -- NULL: it stands in the code
    in_code    boolean not null,
    paused     boolean not null default false,
    last_tick  bigint  not null,              -- the last tick that was dealt with
    created_at bigint  not null
);
