"""Kafka records on their way in and out, as plain tuples: the cheapest thing that has names."""

from typing import Any, NamedTuple


class RawRecord(NamedTuple):
    """One record as it was read. `topic` is without the prefix; `timestamp_ms` is Kafka's."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class OutRecord(NamedTuple):
    """One record to be shown once its epoch is durable. `topic` is without the prefix.

    Topics keyed by user have equal partition counts, so `partition` is the one its cause was read from.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class VersionNote(NamedTuple):
    """A profile change the ledger must know (law 3): `user_key` is `tenant/user`.

    `version` is that of the profile, or for an erasure minus its time (ms since 1970).
    """

    user_key: str
    version: int


def restored(fields: tuple[Any, ...]) -> OutRecord | VersionNote:
    """Make the record whose plain tuple was stored."""
    return VersionNote(*fields) if len(fields) == len(VersionNote._fields) else OutRecord(*fields)
