-- Schedules: the table of postgres/0006_schedules.sql, where the columns are explained.

create table durable_schedules (
    name       text    primary key,
    workflow   text    not null,
    cron       text    not null,
    timezone   text    not null,
    misfire    text    not null,
    overlap    text    not null,
    input      text,
    in_code    integer not null,
    paused     integer not null default 0,
    last_tick  integer not null,
    created_at integer not null
) strict;
