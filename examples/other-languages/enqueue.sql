-- Enqueues work for a Rust program in SQL. While `cargo run --example orders` runs on the same database:
--
--     psql "$DURABLE_DATABASE_URL" -f examples/other-languages/enqueue.sql
--
-- It can be run again: workflows and messages are identified by their ids, so nothing happens twice.

create table if not exists orders (id text primary key, parcels integer not null);

-- The row and the workflow are one transaction: both exist, or neither. The workflow and its
-- arguments have the names that they have in Rust.
begin;
insert into orders values ('order-1', 2) on conflict do nothing;
select durable.enqueue(
    'ship',
    jsonb_build_object('order', 'order-1', 'parcels', 2),
    queue => 'orders',
    id => 'order-1'
);
commit;

-- A rollback removes both: order-2 never exists for any other process.
begin;
insert into orders values ('order-2', 1);
select durable.enqueue('ship', '{"order": "order-2", "parcels": 1}', queue => 'orders', id => 'order-2');
rollback;

-- The workflow waits for its payment. The last argument is an idempotency key: with it the message is
-- received once, however often it is sent.
select durable.send('order-1', 'payment', jsonb_build_object('cents', 1250), 'payment-of-order-1');

-- What became of it: PENDING, or SUCCESS with its output. A workflow that is no longer wanted is cancelled.
select status, output from durable.result('order-1');
select durable.cancel('order-1') where durable.status('order-1') = 'PARKED';
