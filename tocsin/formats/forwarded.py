"""Marks a forwarded record: headers have the place and time at which it was first read."""

from typing import Final

from tocsin.model.event import Origin
from tocsin.model.raw import RawRecord

ORIGIN_HEADER: Final = "tocsin-origin"
"""Place at which a forwarded record was first read: `topic/partition/offset`."""
RECEIVED_HEADER: Final = "tocsin-received"
"""Kafka's time of the record at that place, ms since 1970 UTC."""
_MARKS = frozenset({ORIGIN_HEADER, RECEIVED_HEADER})


def place_of(raw: RawRecord) -> str:
    """Return where a record was first read: `topic/partition/offset`, of a forwarded one as it is marked."""
    marked = dict(raw.headers).get(ORIGIN_HEADER)
    return marked.decode("ascii", "replace") if marked else f"{raw.topic}/{raw.partition}/{raw.offset}"


def first_read(raw: RawRecord, origin: Origin, received_ms: int) -> RawRecord:
    """Return a record as it was first read: that place and time, and only the headers of its producer."""
    headers = tuple(header for header in raw.headers if header[0] not in _MARKS)
    return RawRecord(origin.topic, origin.partition, origin.offset, received_ms, raw.key, raw.value, headers)
