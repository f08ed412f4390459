"""Events that were forwarded, or made for a subscriber: where and when their records were first read."""

from typing import Final

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.forwarded import ORIGIN_HEADER, RECEIVED_HEADER
from tocsin.model import topics
from tocsin.model.event import Event, Origin
from tocsin.model.rfc3339 import LATEST_MS
from tocsin.model.statuses import Reason

_EVENT_TOPICS: Final = frozenset({topics.EVENTS, topics.BULK})
_DIGITS: Final = 15


def as_first_read(event: Event, headers: dict[str, bytes], partitions: int) -> Event:
    """Give a forwarded event the origin and Kafka time it was first read with.

    Args:
        event: as it was decoded where it was forwarded to.
        headers: of its record.
        partitions: of `events` and `bulk`.

    Raises:
        DecodeError: the mark is not one of Tocsin's.
    """
    marked = headers.get(ORIGIN_HEADER)
    if marked is None:
        return _as_subscribers(event, headers) if event.fanned_out else event
    try:
        topic, partition, offset = marked.decode().rsplit("/", 2)
        origin = Origin(topic, int(partition), int(offset))
        received_ms = int(headers.get(RECEIVED_HEADER, b"0"))
    except ValueError:
        raise _foreign_mark() from None
    is_known = topics.is_declared(topic) or (topic in _EVENT_TOPICS and origin.partition < partitions)
    is_place = 0 <= origin.partition < 1 << 31 and 0 <= origin.offset < 1 << 63
    if not is_known or not is_place or not 0 <= received_ms <= LATEST_MS:
        raise _foreign_mark()
    return msgspec.structs.replace(event, origin=origin, received_ms=received_ms or event.received_ms)


def _as_subscribers(event: Event, headers: dict[str, bytes]) -> Event:
    """Give a subscriber's event the Kafka time of the event that named the topic."""
    marked = headers.get(RECEIVED_HEADER, b"")
    received_ms = int(marked) if marked.isdigit() and len(marked) <= _DIGITS else event.received_ms
    return msgspec.structs.replace(event, received_ms=received_ms)


def _foreign_mark() -> DecodeError:
    text = f"header {ORIGIN_HEADER}: must be topic/partition/offset; only Tocsin writes it: leave it out"
    return DecodeError(Reason.BAD_FIELD, text)
