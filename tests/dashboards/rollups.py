"""Brings rollups up to date at once: they refresh themselves every 10 to 30 seconds."""

from clickhouse_connect.driver.client import Client

VIEWS = ("outcomes_minute_writer", "outcomes_hour_writer", "outcomes_day_writer", "engagement_hour_writer")


def refresh(client: Client) -> None:
    """Refresh each rollup and wait for it; days are made of hours."""
    for view in VIEWS:
        client.command(f"SYSTEM REFRESH VIEW {view}")
        client.command(f"SYSTEM WAIT VIEW {view}")
