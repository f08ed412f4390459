"""Erases what comes late of users who were erased: one shard looks for it once a minute."""

import logging
import time
from collections.abc import Callable

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sinks.clickhouse_erasure import sweep

_log = logging.getLogger("tocsin.clickhouse")
_FIRST_S = 60 * 86_400
"""How far the first sweep after a start looks back: as long as hashes of erased users are kept."""
_OVERLAP_S = 120


class LateRows:
    """Sweeps the rows that were stored since the last sweep that worked.

    Args:
        connect: opens a client of ClickHouse.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._swept_s: float | None = None

    def sweep(self) -> None:
        """Sweep; while ClickHouse is away, the next one looks further back."""
        began_s = time.monotonic()
        since_s = _FIRST_S if self._swept_s is None else round(began_s - self._swept_s) + _OVERLAP_S
        try:
            with self._connect() as client:
                found = sweep(client, since_s)
        except (ClickHouseError, OSError):
            return  # the writer tells that ClickHouse is away
        self._swept_s = began_s
        if found:
            _log.warning("erased rows of %d erased users that came late", found)
