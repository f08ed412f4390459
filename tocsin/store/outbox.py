"""Records that wait for their epoch to be durable before anybody may see them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tocsin.store.deltas import FORMAT, Row, check_row


def _as_it_is(record: Any) -> Any:
    return record


class Form(NamedTuple):
    """How a record is stored.

    Rows are pickled: a tuple of bytes, strs and ints takes an eighth of the time of a class of ours, and is
    read again by any release.

    Attributes:
        plain: gives a record's plain form.
        restored: gives the record of a plain form.
    """

    plain: Callable[[Any], Any] = _as_it_is
    restored: Callable[[Any], Any] = _as_it_is


AS_IT_IS = Form()


class Outbox:
    """Collects an epoch's records, stores them with it, and gives them out once it is durable."""

    def __init__(self, lineage: str, shown: int, form: Form) -> None:
        self._lineage = lineage
        self._shown = shown
        self._form = form
        self._collected: list[Any] = []
        self._cut: list[Any] = []

    def collect(self, records: Sequence[Any]) -> None:
        """Take records of the open epoch, in order."""
        self._collected.extend(records)

    def snapshot(self, epoch: int) -> Row:
        """Give Bytewax the row of the closing epoch: all records that were not handed out yet."""
        self._cut += self._collected
        self._collected = []
        return (FORMAT, self._lineage, epoch, tuple(map(self._form.plain, self._cut)))

    def adopt(self, row: Row) -> int:
        """Take over a stored row, unless all of it is known to have been shown; return its epoch."""
        check_row(row, self._lineage)
        _, _, epoch, records = row
        if epoch > self._shown:
            self._cut += map(self._form.restored, records)
        return int(epoch)

    def take(self) -> list[Any]:
        """Hand out what was snapshotted: its epoch is durable."""
        records, self._cut = self._cut, []
        return records
