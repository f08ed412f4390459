"""`/v1/users/{id}/subscriptions`: the topics whose events a user gets."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.subscriptions import decode_subscription, subscription_key
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.people.people import audit_call, changes_of, user_of
from tocsin.gateway.people.view import AWAY, away
from tocsin.gateway.problems import FieldError, Problem
from tocsin.gateway.writer import Failure, Record
from tocsin.model import topics
from tocsin.model.raw import RawRecord
from tocsin.model.subscription import Subscription, SubscriptionChange


class SubscriptionBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A subscription. Events before `since` (RFC 3339) do not reach the user."""

    since: str | None = None


class SubscriptionAnswer(msgspec.Struct, omit_defaults=True):
    """A topic that a user is subscribed to."""

    topic: str
    since: datetime | None = None


class SubscriptionsAnswer(msgspec.Struct):
    """The topics that a user is subscribed to."""

    subscriptions: list[SubscriptionAnswer]


async def list_subscriptions(call: Call) -> Answer:
    """List the topics of a user."""
    owner, changes = f"{call.tenant}/{user_of(call)}", changes_of(call.gateway)
    await changes.look(owner)  # refuses while the view is not complete
    try:
        found = await changes.view.topics_of(owner)
    except AWAY:
        raise away() from None
    return Answer(200, SubscriptionsAnswer([_shown(topic, since) for topic, since in sorted(found.items())]))


async def subscribe(call: Call) -> Answer:
    """Subscribe a user to a topic; again with another `since` changes that."""
    body = await call.body(SubscriptionBody) if await call.raw_body() else SubscriptionBody()
    value = msgspec.json.encode(Subscription(since=body.since))
    change = await _write(call, value, "topic subscribed")
    return Answer(200, _shown(change.topic, change.since_ms))


async def unsubscribe(call: Call) -> Answer:
    """End the subscription of a user to a topic; an event that is being fanned out may still come."""
    await _write(call, None, "topic unsubscribed")
    return Answer(204)


async def _write(call: Call, value: bytes | None, subject: str) -> SubscriptionChange:
    user, topic = user_of(call), call.path["topic"]
    key = subscription_key(call.tenant, topic, user)
    try:
        change = decode_subscription(RawRecord(topics.SUBSCRIPTIONS, 0, 0, 0, key, value, ()))
    except DecodeError as error:
        field, _, cure = str(error).partition(": ")
        raise Problem(422, str(error), errors=[FieldError(field, "a text", cure)]) from None
    audited = audit_call(call, user, subject, topic=topic)
    for result in await call.gateway.writer.write_all([Record(topics.SUBSCRIPTIONS, key, value), audited]):
        if isinstance(result, Failure):
            raise result.problem
    since_ms = change.since_ms if change.subscribed else None
    try:
        await changes_of(call.gateway).view.set_topics([(f"{call.tenant}/{user}", topic, since_ms)])
    except AWAY:
        raise away() from None
    return change


def _shown(topic: str, since_ms: int) -> SubscriptionAnswer:
    return SubscriptionAnswer(topic, datetime.fromtimestamp(since_ms / 1_000, UTC) if since_ms else None)


_PATH: Final = "/v1/users/{id}/subscriptions"
_READ, _WRITE = "users:read", "users:write"
ENDPOINTS: Final = (
    Endpoint(
        "GET",
        _PATH,
        list_subscriptions,
        "List the topics that a user is subscribed to.",
        _READ,
        answers={200: SubscriptionsAnswer},
    ),
    Endpoint(
        "PUT",
        f"{_PATH}/{{topic:path}}",
        subscribe,
        "Subscribe a user to a topic: its events reach the user, too.",
        _WRITE,
        body=SubscriptionBody,
        answers={200: SubscriptionAnswer},
        example={"since": "2026-11-28T00:00:00Z"},
        max_bytes=1_024,
    ),
    Endpoint(
        "DELETE",
        f"{_PATH}/{{topic:path}}",
        unsubscribe,
        "End the subscription of a user to a topic.",
        _WRITE,
        answers={204: None},
    ),
)
