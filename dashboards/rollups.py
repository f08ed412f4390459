"""The rollups of the analytical store: `outcomes_minute`, `outcomes_hour`, `outcomes_day`, `engagement_hour`.

ClickHouse refreshes them by itself, the last every minute, the others every ten seconds, as far as rows were
stored since. Who cannot wait (a test, a bulk load) asks for it here.
"""

from clickhouse_connect.driver.client import Client

STEPS = ("minute", "hour", "day")
TABLES = (*(f"outcomes_{step}" for step in STEPS), "engagement_hour")


def refresh(client: Client) -> None:
    """Refresh the rollups now and wait until they show every row that is stored.

    Raises:
        clickhouse_connect.driver.exceptions.DatabaseError: a refresh failed; the text has the cause.
    """
    for table in TABLES:
        client.command(f"SYSTEM WAIT VIEW {table}_writer")  # one under way began before these rows
        client.command(f"SYSTEM REFRESH VIEW {table}_writer")
        client.command(f"SYSTEM WAIT VIEW {table}_writer")
