"""Records that wait for their epoch to be durable before anybody may see them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from tocsin.store.compression import compressed, expanded
from tocsin.store.deltas import Row, check_row

OUTBOX_FORMAT = 3
"""Format of the rows of the outbox. Format 1 held plain tuples, format 2 bytes that were not compressed."""
_READABLE = (1, 2, OUTBOX_FORMAT)


def _as_they_are(records: Any) -> list[Any]:
    return list(records)


class Form(NamedTuple):
    """How the records of an epoch are stored: as bytes, which Bytewax pickles in no time.

    Attributes:
        pack: gives the bytes of records.
        unpack: gives the records of the bytes.
        unpack_1: gives the records of a row of format 1.
    """

    pack: Callable[[Sequence[Any]], bytes] = msgspec.msgpack.Encoder().encode
    unpack: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder().decode
    unpack_1: Callable[[Sequence[Any]], list[Any]] = _as_they_are


AS_THEY_ARE = Form()


class Outbox:
    """Collects an epoch's records, stores them with it, and gives them out once it is durable."""

    def __init__(self, lineage: str, published: int, form: Form) -> None:
        self._lineage = lineage
        self._published = published
        self._form = form
        self._collected: list[Any] = []
        self._snapshotted: list[Any] = []

    def collect(self, records: Sequence[Any]) -> None:
        """Take records of the open epoch, in order."""
        self._collected.extend(records)

    def snapshot(self, epoch: int) -> Row:
        """Give Bytewax the row of the closing epoch: all records that were not handed out yet."""
        self._snapshotted += self._collected
        self._collected = []
        return (OUTBOX_FORMAT, self._lineage, epoch, compressed(self._form.pack(self._snapshotted)))

    def adopt(self, row: Row) -> int:
        """Take over a stored row, unless all of it is known to be published; return its epoch."""
        check_row(row, self._lineage, _READABLE)
        number, _, epoch, stored = row
        if epoch > self._published:
            self._snapshotted += self._read(number, stored)
        return int(epoch)

    def _read(self, number: int, stored: Any) -> list[Any]:
        if number == 1:
            return self._form.unpack_1(stored)
        return self._form.unpack(stored if number < OUTBOX_FORMAT else expanded(stored))

    def take(self) -> list[Any]:
        """Hand out what was snapshotted: its epoch is durable."""
        records, self._snapshotted = self._snapshotted, []
        return records
