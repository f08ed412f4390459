"""Makes outcomes inside ClickHouse, as many as wanted, spread as a company's would be.

Half of all notifications are made in the waking hours, users differ in how often they are written to, some
notifications are suppressed or merged, some messages fail first or for good, receipts come within seconds or
days. One row of a hundred is stored twice, as after a crash.
"""

from pathlib import Path

from clickhouse_connect.driver.client import Client

from tocsin.model.outcome import Outcome

DAY_MS = 86_400_000
PER_NOTIFICATION = 3.35
"""Rows a notification, measured on what `outcome_rows.sql` makes."""
COPIES_EVERY = 100

_ROWS = Path(__file__).with_suffix(".sql").read_text()


def fill(client: Client, rows: int, *, first: int, from_ms: int, tenant: str = "default", users: int) -> int:
    """Insert about this many outcomes of notifications made on one day; return how many notifications.

    Args:
        client: of ClickHouse, its schema up to date.
        rows: how many outcomes, copies not counted.
        first: number of the first notification; ranges of two calls must not overlap.
        from_ms: where the day begins.
        tenant: whose they are.
        users: how many users there are.
    """
    count = max(1, round(rows / PER_NOTIFICATION))
    names = ", ".join(Outcome.__struct_fields__)
    for picked in (count, count // COPIES_EVERY):
        bound = {"first": first, "count": count, "from_ms": from_ms, "users": users, "tenant": f"'{tenant}'"}
        made = _ROWS.format(**bound) + f"\nWHERE number < {first + picked}"
        client.command(
            f"INSERT INTO outcomes ({names}) SELECT {names} FROM ({made}) SETTINGS max_insert_threads = 2"
        )
    return count
