-- What it costs to remove the oldest fifth of a million workflows with five records each: from one table, and as a partition.
-- Run it in an empty database: psql -f benches/partitioned-history.sql
\set ON_ERROR_STOP on
\timing on
create table plain (
    workflow bigint not null, branch text not null, position integer not null, kind text not null, name text not null,
    attempts integer not null, started_at bigint not null, completed_at bigint not null, output text,
    primary key (workflow, branch, position)
);
create table parts (like plain including all) partition by range (workflow);
create table parts_1 partition of parts for values from (0) to (200000);
create table parts_2 partition of parts for values from (200000) to (1000000);
insert into plain
select workflow, '', position, 'step', 'no_op', 1, 1000000000000000, 1000000000000000, '1'
  from generate_series(0, 999999) workflow, generate_series(1, 5) position;
insert into parts select * from plain;
vacuum analyze plain;
vacuum analyze parts;
checkpoint;

select pg_current_wal_lsn() as begun \gset
delete from plain where workflow < 200000;
vacuum plain;
select pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), :'begun')) as wal_of_delete_and_vacuum;

checkpoint;
select pg_current_wal_lsn() as begun \gset
drop table parts_1;
select pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), :'begun')) as wal_of_drop;

drop table plain, parts;
