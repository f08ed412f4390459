"""The rollups of the analytical store, named in `TABLES`.

ClickHouse refreshes those of outcomes every ten seconds and the others every minute, as far as rows were
stored since. Who cannot wait (a test, a bulk load) asks for it here.
"""

from clickhouse_connect.driver.client import Client

STEPS = ("minute", "hour", "day")
_WAVES = (
    ("outcomes_minute", "outcomes_hour", "engagement_hour"),
    ("outcomes_day", "limits_hour", "arms_day", "engagement_day"),
)
"""Rollups that read rows, then those that read the ones before."""
TABLES = tuple(table for wave in _WAVES for table in wave)


def refresh(client: Client) -> None:
    """Refresh the rollups now and wait until they show every row that is stored.

    Raises:
        clickhouse_connect.driver.exceptions.DatabaseError: a refresh failed; the text has the cause.
    """
    for wave in _WAVES:
        for verb in ("WAIT", "REFRESH", "WAIT"):  # one under way began before these rows
            for table in wave:
                client.command(f"SYSTEM {verb} VIEW {table}_writer")
