"""A day of outcomes for the pages: every status, long names, several providers, a user of markup."""

from collections.abc import Iterator
from itertools import product

import msgspec

from dashboards import store
from sinks.clickhouse_store import ClickHouseLines
from tocsin.model.outcome import Outcome

NOW_MS = 1_795_000_000_000
MARKUP = "<b onclick=alert(1)>bold</b>"
LONG = "a_notification_with_a_rather_long_name_that_somebody_thought_was_fine"
TALE = f"{7:032x}"
"""The notification whose story the tests read: held, sent at the second attempt, opened."""
_MINUTE_MS = 60_000
_NOTIFICATIONS = ("order_shipped", "price_alert", LONG)
_PROVIDERS = {"email": "sendgrid", "sms": "twilio", "push": "fcm"}


def fill(url: str) -> int:
    """Store the day; returns how many outcomes it has."""
    found = [*decided(), *tale()]
    lines = b"\n".join(msgspec.json.encode(one) for one in found)
    ClickHouseLines(lambda: store.connect(url)).insert(lines)
    return len(found)


def decided() -> Iterator[Outcome]:
    """Make what happened to some 500 messages in the 20 hours before now."""
    for number, (name, channel) in enumerate(list(product(_NOTIFICATIONS, _PROVIDERS)) * 55):
        at_ms = NOW_MS - (number % 1_180 + 10) * _MINUTE_MS
        base = {
            "tenant": "default",
            "user": MARKUP if number == 11 else f"user-{number % 97}",
            "notification_id": f"{1_000 + number:032x}",
            "event_id": f"order/{number}",
            "event_source": "urn:shop",
            "event_type": "order.shipped",
            "origin": f"events/3/{number}",
            "notification": name,
            "category": "service",
            "received_ms": at_ms,
            "catalog_version": "300676bac714",
        }
        if number % 5 == 0:
            detail = {"counter": "marketing", "limit": 5, "window_s": 86_400}
            yield outcome(base, number, "suppressed", at_ms, reason="limit", rule="limits", detail=detail)
            continue
        message = base | {"channel": channel, "message_id": f"{9_000 + number:032x}"}
        yield outcome(message, number, "admitted", at_ms)
        yield from _delivered(message, number, at_ms)


def _delivered(message: dict[str, object], number: int, at_ms: int) -> Iterator[Outcome]:
    provider = _PROVIDERS[str(message["channel"])]
    called = message | {"provider": provider, "attempt": 1}
    if number % 23 == 0:
        yield outcome(called, number, "dead", at_ms + 900, reason="rejected", code="21211")
        return
    yield outcome(called, number, "sent", at_ms + 120, latency_ms=120 + number % 400, provider_ms=40)
    for step, status in enumerate(("delivered", "opened", "clicked")):
        if number % (step + 2) == 0:
            yield outcome(called, number, status, at_ms + (step + 1) * _MINUTE_MS)


def outcome(base: dict[str, object], number: int, status: str, at_ms: int, **more: object) -> Outcome:
    """Make one outcome."""
    fields = {**base, **more, "outcome_id": f"{number}-{status}", "status": status, "at_ms": at_ms}
    return msgspec.convert(fields, Outcome)


def tale() -> Iterator[Outcome]:
    """Make the story that the tests read."""
    at_ms = NOW_MS - 5 * _MINUTE_MS
    base: dict[str, object] = {
        "tenant": "default",
        "user": "ada",
        "notification_id": TALE,
        "event_id": "order/tale",
        "event_type": "order.shipped",
        "origin": "events/3/7777",
        "notification": "order_shipped",
        "received_ms": at_ms - 3_600_000,
    }
    due = {"due_ms": at_ms, "zone": "Europe/Vienna"}
    yield outcome(
        base, 7_777, "held", at_ms - 3_600_000, reason="quiet_hours", rule="quiet_hours", detail=due
    )
    message = base | {"channel": "sms", "message_id": f"{7_777:032x}"}
    yield outcome(message, 7_777, "admitted", at_ms)
    called = message | {"provider": "twilio"}
    yield outcome(
        called, 7_777, "retrying", at_ms + 100, attempt=1, reason="throttled", code="429", provider_ms=30
    )
    yield outcome(called, 7_777, "sent", at_ms + 2_100, attempt=2, latency_ms=2_100, provider_ms=35)
    yield outcome(called, 7_777, "opened", at_ms + 60_000)
