-- What a table of its own for the status of workflows would save.
--
--     psql -d a_database_for_this -f benches/status-table.sql
--
-- Run it in the root of the repository, in an empty database. It drops what it made.
--
-- `one`: a workflow is one row, as in the migrations; its status is in partial indexes, so no update is HOT. `split`: a
-- start writes a row that never changes and one in a small table of what runs; an end moves that one to a table of
-- outcomes. Each start and each end is of 16 workflows, and there is no sync.

\set ON_ERROR_STOP on
set synchronous_commit = off;
set client_min_messages = warning;
create schema durable;
\i migrations/postgres/0001_foundation.sql
create schema split;
create table split.workflows (
    key bigint primary key, id text collate "C" not null unique, name text not null, parent bigint, version text,
    fingerprint bigint not null default 0, created_at bigint not null, queue text, priority integer not null default 0,
    partition_key text not null default '', input text);
create index on split.workflows (name, key);
create index on split.workflows (parent, key) where parent is not null;
create index on split.workflows (queue, key) where queue is not null;
create table split.running (
    executor bigint, key bigint, attempt integer not null default 1, started_at bigint, primary key (executor, key));
create table split.outcomes (
    key bigint primary key, status text not null, attempt integer not null, executor bigint, started_at bigint,
    completed_at bigint, output text, error text);
create index on split.outcomes (completed_at, key);
create index on split.outcomes (status, key) where status <> 'SUCCESS';

create procedure split.one(first bigint, rounds integer) language plpgsql as $$
begin
    for k in first .. first + rounds - 1 loop
        insert into durable.workflows
               (key, id, name, status, version, fingerprint, executor, attempt, created_at, started_at, input)
        select n, lpad(n::text, 36, '0'), 'bench', 'PENDING', '0.1.0', 77, 1, 1, 1, 1, '{"n":1}'
          from generate_series(k * 16, k * 16 + 15) n;
        commit;
        update durable.workflows set status = 'SUCCESS', output = '1', completed_at = k
         where key between k * 16 and k * 16 + 15 and attempt = 1 and status = 'PENDING' and executor = 1;
        commit;
    end loop;
end $$;

create procedure split.split(first bigint, rounds integer) language plpgsql as $$
begin
    for k in first .. first + rounds - 1 loop
        with started as (
            insert into split.workflows (key, id, name, version, fingerprint, created_at, input)
            select n, lpad(n::text, 36, '0'), 'bench', '0.1.0', 77, 1, '{"n":1}'
              from generate_series(k * 16, k * 16 + 15) n
            returning key)
        insert into split.running (executor, key, started_at) select 1, key, 1 from started;
        commit;
        with ended as (
            delete from split.running
             where executor = 1 and key between k * 16 and k * 16 + 15 and attempt = 1
            returning *)
        insert into split.outcomes (key, status, attempt, executor, started_at, completed_at, output)
        select key, 'SUCCESS', attempt, executor, started_at, k, '1' from ended;
        commit;
    end loop;
end $$;

call split.one(1, 500);
call split.split(1, 500);
select pg_current_wal_lsn() as wal, clock_timestamp() as began \gset
call split.one(1000, 5000);
select 'one' as tables,
       round(extract(epoch from clock_timestamp() - :'began') * 1e6 / 80000, 1) as us_each,
       round(pg_wal_lsn_diff(pg_current_wal_lsn(), :'wal') / 80000) as wal_each;
select pg_current_wal_lsn() as wal, clock_timestamp() as began \gset
call split.split(1000, 5000);
select 'split' as tables,
       round(extract(epoch from clock_timestamp() - :'began') * 1e6 / 80000, 1) as us_each,
       round(pg_wal_lsn_diff(pg_current_wal_lsn(), :'wal') / 80000) as wal_each;

drop schema split cascade;
drop schema durable cascade;
