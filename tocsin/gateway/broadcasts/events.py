"""The records that a broadcast leads to: its event, what controls it, and the users of its list.

The event goes to `events`, to the partition of its owner, and so does what controls it: Kafka keeps them in
order there. Its messages travel in bulk all the same.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec

from sources.partitioner import partition_of
from tocsin.catalog.catalog import Catalog
from tocsin.decision.broadcasts import EVERYONE
from tocsin.errors import DecodeError
from tocsin.formats.broadcasts import CONTROL_TYPE, Action
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.user_lists import ListPart
from tocsin.gateway.broadcasts.bodies import Audience, NewBroadcast
from tocsin.gateway.problems import Problem, of_field
from tocsin.gateway.writer import Failure, Record, Writer
from tocsin.model import topics
from tocsin.model.broadcast import owner_key
from tocsin.model.broadcast_list import LIST
from tocsin.model.event import NAMED, Event
from tocsin.model.ids import digest
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

SOURCE: Final = "/v1/broadcasts"
"""Source of the events of broadcasts over HTTP, by which their lists are found."""
_FIELDS: Final = {
    "tocsinsendat": "send_at",
    "tocsinexpires": "expires",
    "tocsinlocaltime": "local_time",
    "tocsinchannels": "channels",
    "tocsinnotification": "notification",
    "tocsinsegment": "to.segment",
}
_encode = msgspec.json.Encoder().encode


def list_part(tenant: str, name: str) -> ListPart:
    """Name the list of a broadcast."""
    return ListPart(tenant, SOURCE, name)


def segment_of(to: str | Audience) -> str:
    """Return the segment as the event names it.

    Raises:
        Problem: it names both a segment and users, or neither.
    """
    if isinstance(to, str):
        return EVERYONE if to == "everyone" else LIST
    if bool(to.segment) == bool(to.users):
        msg = "to"
        raise of_field(msg, "an object", "give either `segment` or `users`, or send `everyone` or `list`")
    return to.segment or LIST


def event_record(asked: NewBroadcast, tenant: str, name: str, now_ms: int, partitions: int) -> Record:
    """Write the event of a broadcast."""
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": name,
        "source": SOURCE,
        "type": asked.type or NAMED,
        "time": rfc3339(now_ms),
        "tenant": tenant,
        "data": asked.data,
        "tocsinsegment": segment_of(asked.to),
        "tocsinnotification": asked.notification,
        "tocsinchannels": ",".join(asked.channels),
        "tocsinsendat": asked.send_at,
        "tocsinexpires": asked.expires,
        "tocsinlocaltime": asked.local_time,
        "tocsinmissed": "skip" if asked.missed == "skip" else "",
        "tocsinrate": asked.rate or "",
    }
    value = _encode({field: given for field, given in found.items() if given != ""})
    return _to_owner(tenant, name, value, partitions)


def checked(record: Record, catalog: Catalog, limits: EventLimits, now_ms: int) -> Event:
    """Read an event as a shard will, and ask the catalog for what it needs.

    Raises:
        Problem: 422, with the field of the body.
    """
    raw = RawRecord(record.topic, record.partition, 0, now_ms, record.key, record.value, ())
    try:
        event = decode_event(raw, limits)
    except DecodeError as error:
        _refuse(str(error))
    spec, candidates = catalog.tenant(event.tenant), catalog.answering(event)
    if spec is None or candidates is None:
        raise Problem(422, "the catalog has no such tenant, or its files have mistakes: `tocsin check`")
    assert event.broadcast is not None, "the event has a segment"
    if event.broadcast.segment not in {EVERYONE, LIST, *spec.segments}:
        msg = "to.segment"
        raise of_field(msg, "not in the catalog", "name one of the tenant's `segments`")
    if not candidates.notifications and candidates.none is not Reason.TENANT_INACTIVE:
        field = "notification" if event.asked is not None and event.asked.notification else "type"
        raise of_field(field, "not in the catalog", "name one that the tenant's catalog has")
    return event


def control_record(
    tenant: str, name: str, action: Action, request_id: str, now_ms: int, partitions: int
) -> Record:
    """Write the event that controls a broadcast."""
    value = _encode(
        {
            "specversion": "1.0",
            "id": digest("control of a broadcast", tenant, name, action, request_id),
            "source": SOURCE,
            "type": CONTROL_TYPE,
            "time": rfc3339(now_ms),
            "tenant": tenant,
            "data": {"id": name, "action": action.value},
        }
    )
    return _to_owner(tenant, name, value, partitions)


def as_records(found: Iterable[OutRecord]) -> list[Record]:
    """Turn the records of a list into those of the writer."""
    return [Record(one.topic, one.key or b"", one.value, one.headers, one.partition) for one in found]


async def write(writer: Writer, records: Sequence[Record]) -> None:
    """Write records; all of them are in Kafka afterwards.

    Raises:
        Problem: one is not; writing all of them again changes nothing for those that are.
    """
    for result in await writer.write_all(records):
        if isinstance(result, Failure):
            raise result.problem


def _to_owner(tenant: str, name: str, value: bytes, partitions: int) -> Record:
    partition = partition_of(owner_key(tenant, name).encode(), partitions)
    return Record(topics.EVENTS, f"{tenant}/{name}".encode(), value, (), partition)


def _refuse(text: str) -> NoReturn:
    """Name the field of the body instead of the extension of the event."""
    name, _, rest = text.partition(": ")
    fault, _, cure = rest.partition("; ")
    raise of_field(_FIELDS.get(name, name), fault, cure or fault)


def rfc3339(at_ms: int) -> str:
    """Write a time, ms since 1970, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
