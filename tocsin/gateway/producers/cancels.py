"""`DELETE /v1/notifications/{id}`: cancels what still waits of a notification or event."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tocsin.formats.forwarded import Document
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.problems import Problem, ProblemDocument
from tocsin.gateway.producers import checks
from tocsin.gateway.producers.accepting import record_of
from tocsin.gateway.producers.items import SOURCE, event_time
from tocsin.gateway.producers.sent import Sent, index_of
from tocsin.gateway.producers.stories import NOT_YET, stories_of
from tocsin.gateway.writer import Failure
from tocsin.model.event import CANCEL
from tocsin.model.ids import digest, notification_id

_ID: Final = re.compile(r"[0-9a-f]{32}")
_NOTE: Final = (
    "what still waits is cancelled; what a provider has been handed cannot be called back: the story of"
    " the notification tells what became of it"
)
_TOPIC: Final = (
    "an event for a topic has one notification for each subscriber: only one that was sent with a"
    " cancel_key can be cancelled"
)


class Cancelled(msgspec.Struct, frozen=True):
    """Kafka has the order to cancel.

    Attributes:
        id: as it was asked for.
        notifications: ids of the notifications that are cancelled where they still wait.
        note: what this can do and what not.
    """

    id: str
    notifications: list[str]
    note: str = _NOTE


_encode = msgspec.json.Encoder().encode


async def _cancel(call: Call) -> Answer:
    subject, user = call.path["id"], call.query.get("user", "")
    sent = await index_of(call.gateway).find(call.tenant, subject)
    if sent is not None and sent.topic:
        await _write(call, [_of_topic(call, sent)])
        return Answer(202, Cancelled(subject, []))
    named = _of_sent(call, sent) if sent is not None else await _elsewhere(call, subject, user)
    if user:
        named = {nid: whose for nid, whose in named.items() if whose == user}
    if not named:
        raise Problem(404, f"{NOT_YET}. With ?user= a notification is cancelled at once")
    await _write(call, [_order(call, whose, {"notification_id": nid}) for nid, whose in named.items()])
    return Answer(202, Cancelled(subject, list(named)))


def _of_sent(call: Call, sent: Sent) -> Mapping[str, str]:
    """Name the notifications that an event means: the one asked for, or each that asks for its type."""
    names: Iterable[str] = [sent.notification]
    if not sent.notification:
        candidates = call.gateway.catalog().candidates(call.tenant, sent.type)
        names = [one.name for one in candidates.notifications] if candidates else []
    return {
        notification_id(call.tenant, sent.source, sent.event_id, sent.user, name, sent.origin): sent.user
        for name in names
    }


async def _elsewhere(call: Call, subject: str, user: str) -> Mapping[str, str]:
    """Name the notifications of an id that was not sent within the last minutes."""
    if user and _ID.fullmatch(subject):
        return {subject: user}
    stories = await stories_of(call.gateway, call.tenant, subject)
    return {one.subject: one.user for one in stories if one.user and _ID.fullmatch(one.subject)}


def _of_topic(call: Call, sent: Sent) -> bytes:
    if not sent.cancel_key:
        raise Problem(409, _TOPIC)
    return _order(call, "", {"cancel_key": sent.cancel_key}, sent.topic, sent.origin)


def _order(call: Call, user: str, data: Mapping[str, Any], topic: str = "", origin: str = "") -> bytes:
    """Write a cancel event. Cancelling again writes the same one, which the gate knows as a duplicate.

    A key is used again and again: there, `origin` says which event of the key is cancelled.
    """
    about = digest("cancel", call.tenant, user, topic, *data.values(), origin)
    return _encode(
        Document(
            "1.0",
            about,
            SOURCE,
            CANCEL,
            user or None,
            event_time(call.now_ms),
            call.tenant,
            msgspec.Raw(_encode(data)),
            tocsintopic=topic,
        )
    )


async def _write(call: Call, values: list[bytes]) -> None:
    limits = checks.limits_of(call.gateway.settings)
    names = {"subject": "user"}
    events = [checks.read_event(value, call.now_ms, limits, names=names) for value in values]
    records = [record_of(event, value) for event, value in zip(events, values, strict=True)]
    for place in await call.gateway.writer.write_all(records):
        if isinstance(place, Failure):
            raise place.problem


ENDPOINT = Endpoint(
    "DELETE",
    "/v1/notifications/{id}",
    _cancel,
    "Cancel what still waits of a notification or event.",
    scope="notifications:write",
    answers={202: Cancelled, 404: ProblemDocument, 409: ProblemDocument, 503: ProblemDocument},
    parameters=(
        Parameter("user", "query", str, "whose it is, where nothing is known of it yet", example="ada"),
        Parameter("id", "path", str, "id of an event or a notification", required=True),
    ),
)
