"""`POST /v1/broadcasts`: asks for a broadcast."""

import hashlib
import secrets

import msgspec

from sources.partitioner import partition_of
from tocsin.formats.broadcasts import Action, user_fault
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.user_lists import closing_records, slice_records
from tocsin.gateway import audit
from tocsin.gateway.broadcasts import events
from tocsin.gateway.broadcasts.bodies import Accepted, Audience, NewBroadcast
from tocsin.gateway.broadcasts.notes import Notes
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.problems import Problem, of_field
from tocsin.gateway.writer import Record
from tocsin.model.audit import Action as Entered
from tocsin.model.ids import digest

_MOST_BYTES = 4 << 20
_KEY_LENGTH = 255
_EXAMPLE = {
    "to": {"segment": "german"},
    "notification": "newsletter",
    "data": {"issue": 48},
    "send_at": "2026-11-30T09:00:00+01:00",
    "rate": 2000,
}


def notes_of(call: Call) -> Notes:
    """Return the notes of broadcasts."""
    return Notes(call.gateway.redis, call.gateway.settings.topic_prefix)


def accepted(name: str, state: str = "accepted") -> Answer:
    """Answer that Kafka has it."""
    return Answer(202, Accepted(name, state, f"/v1/broadcasts/{name}"))


async def _create(call: Call) -> Answer:
    asked = await call.body(NewBroadcast)
    tenant = call.own_tenant(asked.tenant)
    if not (asked.notification or asked.type):
        msg = "notification"
        raise of_field(msg, "missing", "name a notification, or give the `type` of an event")
    name = asked.id or _derived(call, tenant)
    settings, partitions = call.gateway.settings, call.gateway.settings.partitions
    record = events.event_record(asked, tenant, name, call.now_ms, partitions)
    limits = EventLimits(settings.max_record_bytes, 0, 0, check_time=False)
    events.checked(record, call.gateway.catalog(), limits, call.now_ms)
    users = _users(asked)
    body = hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
    if await notes_of(call).claim(tenant, name, body) != body:
        text = "this id, or Idempotency-Key, was sent with another body: change it, or send the same body"
        raise Problem(409, text)
    entered = audit.entry(call, Entered.BROADCAST_ASKED, name, segment=events.segment_of(asked.to))
    await events.write(call.gateway.writer, [record, entered])
    if users:
        await events.write(call.gateway.writer, _list(call, tenant, name, users))
    return accepted(name, "uploading" if asked.to == "list" else "accepted")


def _users(asked: NewBroadcast) -> list[str]:
    users = asked.to.users if isinstance(asked.to, Audience) else []
    for at, user in enumerate(users):
        if fault := user_fault(user):
            msg = f"to.users[{at}]"
            raise of_field(msg, f"an id that {fault}", "correct the id")
    return users


def _list(call: Call, tenant: str, name: str, users: list[str]) -> list[Record]:
    """Write the whole list of a broadcast at once, with its end and its start."""
    part, partitions = events.list_part(tenant, name), call.gateway.settings.partitions
    found = slice_records(part._replace(last=True), users, partitions, partition_of)
    start = events.control_record(tenant, name, Action.START, "", call.now_ms, partitions)
    return [*events.as_records([*found, *closing_records(part, partitions)]), start]


def _derived(call: Call, tenant: str) -> str:
    """Derive an id from the idempotency key: the same request again is the same broadcast."""
    key = call.headers.get("idempotency-key", "").strip()
    if len(key) > _KEY_LENGTH:
        msg = "Idempotency-Key"
        raise of_field(msg, "a text that is too long", f"send {_KEY_LENGTH} characters at most")
    return digest("broadcast", tenant, key) if key else secrets.token_hex(12)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/broadcasts",
        _create,
        "Send a notification to a segment, to everyone of the tenant, or to a list of users.",
        scope="broadcasts:write",
        body=NewBroadcast,
        answers={202: Accepted},
        example=_EXAMPLE,
        parameters=(
            Parameter(
                "Idempotency-Key",
                "header",
                str,
                "names the request: sent again, it is the same broadcast",
                example="news-48",
            ),
        ),
        max_bytes=_MOST_BYTES,
    ),
)
