"""Kafka records on their way in and out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec


class RawRecord(NamedTuple):
    """One record as it was read. `topic` is without the prefix; `timestamp_ms` is Kafka's."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class OutRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to be published once its epoch is durable. `topic` is without the prefix.

    Topics keyed by user have equal partition counts, so `partition` is the one its cause was read from.
    A decision makes up to five: a struct takes a third of the time of a named tuple.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class VersionNote(NamedTuple):
    """A profile change the ledger must know (law 3): `user_key` is `tenant/user`.

    `version` is that of the profile, or for an erasure minus its time (ms since 1970): what was decided
    before returns to the gate. With `keeps_user` it returns, but nobody is erased.
    """

    user_key: str
    version: int
    keeps_user: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[VersionNote], list[OutRecord]]).decode
_FIELDS_OF_A_NOTE = 2


def packed(records: Sequence[OutRecord | VersionNote]) -> bytes:
    """Encode the records of an epoch; notes and records each keep their order."""
    notes = [record for record in records if type(record) is VersionNote]
    others = [record for record in records if type(record) is not VersionNote] if notes else records
    return _encode((notes, others))


def unpacked(data: bytes) -> list[OutRecord | VersionNote]:
    """Decode what `packed` encoded, the notes first."""
    notes, records = _decode(data)
    return [*notes, *records]


def unpacked_1(rows: Sequence[tuple[Any, ...]]) -> list[OutRecord | VersionNote]:
    """Make the records that 0.1.0 stored as plain tuples, told apart by their length."""
    return [VersionNote(*row) if len(row) == _FIELDS_OF_A_NOTE else OutRecord(*row) for row in rows]
