"""Describes the state of the source between runs: offsets, clocks, pauses."""

from typing import Any, NamedTuple

from tocsin.errors import StateError

_VERSION = 1

Offsets = dict[str, dict[int, int]]
Stored = tuple[Any, ...]


class SourceState(NamedTuple):
    """Holds the resume state of the source, as of the end of one epoch.

    Attributes:
        epoch: number of that epoch in the exact store.
        offsets: next offset to read, by topic and partition; `OFFSET_BEGINNING` (-2) before the first record.
        clocks: time of each partition, ms since 1970 UTC.
        paused: topic partitions with too many decode errors, each with its sentence.
        loading: partitions whose profiles must be read to their end before the first event.
    """

    epoch: int
    offsets: Offsets
    clocks: dict[int, int]
    paused: dict[tuple[str, int], str]
    loading: tuple[int, ...]

    def stored(self) -> Stored:
        """Return the state as Bytewax keeps it: a plain tuple that begins with a version."""
        return (_VERSION, *self)


def read_stored(stored: Stored) -> SourceState:
    """Read a stored state.

    Raises:
        StateError: another release of Tocsin wrote it, in a format that this one cannot read.
    """
    version, *fields = stored
    if version != _VERSION or len(fields) != len(SourceState._fields):
        msg = f"the offsets are stored in format {version}; run the Tocsin that wrote them, or a newer one"
        raise StateError(msg)
    return SourceState(*fields)
