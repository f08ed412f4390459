"""Records that wait for their epoch to be durable before anybody may see them."""

from collections.abc import Sequence
from typing import Any

from state.deltas import FORMAT, Row, check_row


class Outbox:
    """Collects an epoch's records, stores them with it, and gives them out once it is durable.

    Records are opaque, but are pickled into the recovery store: keep them plain.
    """

    def __init__(self, lineage: str, shown: int) -> None:
        self._lineage = lineage
        self._shown = shown
        self._collected: list[Any] = []
        self._cut: list[Any] = []

    def collect(self, records: Sequence[Any]) -> None:
        """Take records of the open epoch, in order."""
        self._collected.extend(records)

    def snapshot(self, epoch: int) -> Row:
        """Give Bytewax the row of the closing epoch: all records that were not handed out yet."""
        self._cut += self._collected
        self._collected = []
        return (FORMAT, self._lineage, epoch, tuple(self._cut))

    def adopt(self, row: Row) -> int:
        """Take over a stored row, unless all of it is known to have been shown; return its epoch."""
        check_row(row, self._lineage)
        _, _, epoch, records = row
        if epoch > self._shown:
            self._cut += records
        return int(epoch)

    def take(self) -> list[Any]:
        """Hand out what was snapshotted: its epoch is durable."""
        records, self._cut = self._cut, []
        return records
