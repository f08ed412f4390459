"""Marks forwarded records, and writes events of declared topics as CloudEvents.

A mark is a header with the place or the time at which a record was first read. A profile that is forwarded
leaves a tombstone at its old place, so that compaction removes the copy there. The tombstone erases nobody:
it has a mark of its own.

What is forwarded, held or dead-lettered of a declared topic is a CloudEvent. So the user's partition and what
is due later know one form only.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tocsin.formats.cloudevents import STRUCTURED
from tocsin.formats.replays import replay_header
from tocsin.model import topics
from tocsin.model.event import Broadcast, Event, Origin, Recipient
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.rfc3339 import LATEST_MS

ORIGIN_HEADER: Final = "tocsin-origin"
"""Place at which a forwarded record was first read: `topic/partition/offset`."""
RECEIVED_HEADER: Final = "tocsin-received"
"""Kafka's time of the record at that place, ms since 1970 UTC."""
CONTENT_TYPE: Final = ("content-type", STRUCTURED.encode())
_encode = msgspec.json.Encoder().encode
_NOBODY: Final = "\0"
_NO_BROADCAST: Final = (None, 0, None, None)
_WHOLE_SECONDS = len("1970-01-01T00:00:00")


class Document(msgspec.Struct, omit_defaults=True, gc=False):
    """A CloudEvent in structured mode, without what an event does not have."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None
    time: str
    tenant: str
    data: msgspec.Raw
    recipient: Recipient | None = None
    tocsinsendat: str | None = None
    tocsinexpires: str | None = None
    tocsintopic: str = ""
    tocsinfanout: str = ""
    tocsinsegment: str | None = None
    tocsinrate: int = 0
    tocsinlocaltime: str | None = None
    tocsinmissed: str | None = None
    tocsinnotification: str = ""
    tocsinchannels: str = ""
    tocsincancelkey: str = ""


MOVED_HEADER: Final = "tocsin-moved"
"""On the tombstone that a forwarded profile leaves: the partition that it moved to."""
_MARKS = frozenset({ORIGIN_HEADER, RECEIVED_HEADER})
_DIGITS: Final = 16


def is_tombstone(raw: RawRecord) -> bool:
    """Return whether a record is the tombstone of a forwarded profile, and says nothing of its user."""
    return raw.value is None and any(name == MOVED_HEADER for name, _ in raw.headers)


def tombstone(raw: RawRecord, home: int) -> OutRecord:
    """Write the tombstone of a profile that moves to the partition `home`."""
    return OutRecord(raw.topic, raw.partition, raw.key, None, ((MOVED_HEADER, str(home).encode()),))


def first_read_ms(raw: RawRecord) -> int:
    """Return Kafka's time of a record at the place where it was first read, ms since 1970 UTC."""
    marked = dict(raw.headers).get(RECEIVED_HEADER, b"") if raw.headers else b""
    return int(marked) if marked.isdigit() and len(marked) < _DIGITS else raw.timestamp_ms


def is_forwarded(raw: RawRecord) -> bool:
    """Return whether a record was first read on another partition."""
    return any(name == ORIGIN_HEADER for name, _ in raw.headers)


def marks_of(raw: RawRecord) -> tuple[tuple[str, bytes], ...]:
    """Return the marks of a record that is forwarded from where it is."""
    origin = f"{raw.topic}/{raw.partition}/{raw.offset}".encode()
    return (ORIGIN_HEADER, origin), (RECEIVED_HEADER, str(raw.timestamp_ms).encode())


def place_of(raw: RawRecord) -> str:
    """Return where a record was first read: `topic/partition/offset`, of a forwarded one as it is marked."""
    marked = dict(raw.headers).get(ORIGIN_HEADER)
    return marked.decode("ascii", "replace") if marked else f"{raw.topic}/{raw.partition}/{raw.offset}"


def first_read(raw: RawRecord, origin: Origin, received_ms: int) -> RawRecord:
    """Return a record as it was first read: that place and time, and only the headers of its producer.

    The value of a record of a declared topic is a CloudEvent here (`as_cloudevent`).
    """
    headers = tuple(header for header in raw.headers if header[0] not in _MARKS)
    return RawRecord(origin.topic, origin.partition, origin.offset, received_ms, raw.key, raw.value, headers)


def as_cloudevent(event: Event, raw: RawRecord) -> RawRecord:
    """Return the record of an event as a CloudEvent for its user.

    A record of a declared topic is rewritten, and so is a broadcast that is decided for one user.
    """
    is_one_of_many = event.broadcast is not None and event.user
    return rewritten(event) if is_one_of_many or topics.is_declared(raw.topic) else raw


def rewritten(event: Event) -> RawRecord:
    """Write an event as a record of structured CloudEvents JSON that reads as the same event.

    What a broadcast is for one user reads as an event of that user.
    """
    broadcast = _NO_BROADCAST if event.broadcast is None or event.user else _extensions(event.broadcast)
    asked = event.asked
    value = _encode(
        Document(
            "1.0",
            event.id,
            event.source,
            event.type,
            event.user or None,
            _rfc3339(event.time_ms),
            event.tenant,
            event.data,
            event.recipient,
            None if event.send_at_ms is None else _rfc3339(event.send_at_ms),
            None if event.expires_ms is None else _rfc3339(event.expires_ms),
            event.topic,
            event.fanned_out,
            *broadcast,
            *(() if asked is None else (asked.notification, ",".join(asked.channels), asked.cancel_key)),
        )
    )
    topic, partition, offset = event.origin.topic, event.origin.partition, event.origin.offset
    topic = topics.BULK if event.bulk else topic
    key = f"{event.tenant}/{event.user or event.topic}".encode()
    headers = () if event.replay is None else (replay_header(event.replay),)
    return RawRecord(topic, partition, offset, event.received_ms, key, value, headers)


def _extensions(broadcast: Broadcast) -> tuple[Any, ...]:
    local = _rfc3339(broadcast.local_ms)[:_WHOLE_SECONDS] if broadcast.local_ms else None
    return broadcast.segment, broadcast.rate, local, "skip" if broadcast.skip_late else None


def addressed(event: Event) -> Callable[[str], bytes]:
    """Return what writes an event as CloudEvents JSON for one user after another.

    The event is encoded once. Control characters are in no name, so the place of the user is found.
    """
    value = rewritten(replace(event, user=_NOBODY)).value or b""
    head, _, tail = value.partition(_encode(_NOBODY))

    def write(user: str) -> bytes:
        return head + _encode(user) + tail

    return write


def _rfc3339(at_ms: int) -> str:
    at_ms = min(at_ms, LATEST_MS)
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()
    return f"{whole[:_WHOLE_SECONDS]}.{at_ms % 1000:03d}Z"
