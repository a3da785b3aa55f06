"""Enqueues work for a Rust program with psycopg 3 (`pip install "psycopg[binary]"`).

While `cargo run --example orders` runs on the same database:

    DURABLE_DATABASE_URL=postgres://user@host/database python3 examples/other-languages/enqueue.py

It can be run again: workflows and messages are identified by their ids, so nothing happens twice.
"""

import os

import psycopg
from psycopg.types.json import Jsonb


def place_order(connection: psycopg.Connection, order: str, parcels: int) -> str:
    """Writes an order and enqueues its workflow, as a part of the caller's transaction."""
    connection.execute("insert into orders values (%s, %s) on conflict do nothing", (order, parcels))
    # The workflow and its arguments have the names that they have in Rust.
    arguments = Jsonb({"order": order, "parcels": parcels})
    row = connection.execute(
        "select durable.enqueue('ship', %s, queue => 'orders', id => %s)", (arguments, order)
    ).fetchone()
    return row[0]


def pay(connection: psycopg.Connection, order: str, cents: int) -> None:
    """Sends the payment to the workflow. The last argument is an idempotency key: with it the message
    is received once, however often it is sent."""
    connection.execute(
        "select durable.send(%s, 'payment', %s, %s)", (order, Jsonb({"cents": cents}), f"payment-of-{order}")
    )


def outcome(connection: psycopg.Connection, order: str) -> tuple:
    """The status of the workflow, and its output or error once it has ended. It does not wait."""
    return connection.execute("select status, output, error, reason from durable.result(%s)", (order,)).fetchone()


def main() -> None:
    with psycopg.connect(os.environ["DURABLE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("create table if not exists orders (id text primary key, parcels integer not null)")

        # The row and the workflow are one transaction: both exist, or neither.
        with connection.transaction():
            print("enqueued:", place_order(connection, "order-1", 2))

        # A rollback removes both: order-2 never exists for any other process.
        with connection.transaction():
            place_order(connection, "order-2", 1)
            raise psycopg.Rollback()

        pay(connection, "order-1", 1250)
        print("paid for: order-1")
        print("it is:", outcome(connection, "order-1")[0])


if __name__ == "__main__":
    main()
