"""What the source keeps between runs: offsets, clocks, and what is paused."""

from typing import Any, NamedTuple

from tocsin.errors import StateError

_VERSION = 1

Offsets = dict[str, dict[int, int]]
Stored = tuple[Any, ...]


class HubState(NamedTuple):
    """The resume state of the partition `hub`, as of the end of one epoch.

    Attributes:
        epoch: the shard's number of that epoch.
        offsets: per topic and partition the next offset to read; BEGINNING (-2) where nothing was read.
        clocks: per partition its time in ms.
        paused: topic partitions that had too many undecodable records, each with its sentence.
        loading: partitions whose `profiles` must be read to their end before the first event.
    """

    epoch: int
    offsets: Offsets
    clocks: dict[int, int]
    paused: dict[tuple[str, int], str]
    loading: tuple[int, ...]

    def stored(self) -> Stored:
        """Return the state as Bytewax keeps it: a plain tuple with a version."""
        return (_VERSION, *self)


def read_stored(stored: Stored) -> HubState:
    """Read a stored state.

    Raises:
        StateError: it was written by a Tocsin that this one does not know.
    """
    version, *fields = stored
    if version != _VERSION or len(fields) != len(HubState._fields):
        msg = f"the offsets are stored in format {version}; run the Tocsin that wrote them, or a newer one"
        raise StateError(msg)
    return HubState(*fields)
