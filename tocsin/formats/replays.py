"""Marks records that are replayed. The mark is a header that only Tocsin writes.

It names the replay, its policy, and where the first record of the event was read. A record that is replayed
again keeps that place: a replay of a replay is one of the first record.
"""

from collections.abc import Iterable
from typing import Final

from tocsin.errors import DecodeError
from tocsin.model.event import Origin, Replay
from tocsin.model.statuses import Reason

REPLAY_HEADER: Final = "tocsin-replay"
"""`<id of the replay> again|force <topic/partition/offset of the first record>`."""
Headers = Iterable[tuple[str, bytes]]
_POLICIES: Final = {"again": False, "force": True}


def place(text: str) -> Origin:
    """Read `topic/partition/offset`.

    >>> place("events/9/4211")
    Origin(topic='events', partition=9, offset=4211)

    Raises:
        ValueError: it has another form.
    """
    topic, partition, offset = text.rsplit("/", 2)
    return Origin(topic, int(partition), int(offset))


def replay_header(replay: Replay) -> tuple[str, bytes]:
    """Write the mark."""
    policy = "force" if replay.force else "again"
    return REPLAY_HEADER, f"{replay.id} {policy} {replay.origin}".encode()


def read_replay(headers: Headers) -> Replay | None:
    """Read the mark among the headers of a record; None if there is none.

    Raises:
        DecodeError: somebody else wrote it.
    """
    for name, value in headers:
        if name == REPLAY_HEADER:
            return _read(value)
    return None


def _read(value: bytes) -> Replay:
    try:
        replay_id, policy, origin = value.decode().split(" ")
        return Replay(replay_id, _POLICIES[policy], place(origin))
    except (ValueError, KeyError):
        text = f"header {REPLAY_HEADER}: only `tocsin replay` writes it; leave it out"
        raise DecodeError(Reason.BAD_FIELD, text) from None
