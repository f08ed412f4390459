"""Builds the variables that the expressions of the catalog read of an event and its recipient."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from tocsin.catalog.digests import WEEKDAYS
from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.catalog.sandbox import without_nulls
from tocsin.decision.recipient import Recipient
from tocsin.model.event import Event
from tocsin.model.zones import zone

_parse = msgspec.json.Decoder().decode


def scope_of(event: Event, recipient: Recipient, needs: frozenset[str], now_ms: int) -> Scope:
    """Build what expressions read (`variables_of`)."""
    return Scope(variables_of(event, recipient, needs, now_ms))


def variables_of(event: Event, recipient: Recipient, needs: frozenset[str], now_ms: int) -> dict[str, object]:
    """Build the variables that are needed, and no others.

    Args:
        event: the event.
        recipient: whom it is for.
        needs: names of the variables.
        now_ms: the time of the decision. What was held is decided, and its conditions hold, as of then.

    Raises:
        ExpressionError: the data are not JSON.
    """
    variables: dict[str, object] = {}
    if "data" in needs:
        variables["data"] = _data(event)
    if "event" in needs:
        variables["event"] = {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.user,
            "tenant": event.tenant,
            "time_ms": event.time_ms,
        }
    if "user" in needs:
        variables["user"] = user_scope(event.user, recipient)
    if "now" in needs:
        variables["now"] = now_scope(recipient.timezone, now_ms)
    return variables


def now_scope(timezone: str, now_ms: int) -> dict[str, object]:
    """Build the variable `now`: a time in a zone, as people there read it."""
    at = datetime.fromtimestamp(now_ms // 1_000, zone(timezone) or UTC)
    return {
        "date": f"{at:%Y-%m-%d}",
        "time": f"{at:%H:%M}",
        "weekday": WEEKDAYS[at.weekday()],
        "year": at.year,
        "month": at.month,
        "day": at.day,
        "hour": at.hour,
        "minute": at.minute,
        "ms": now_ms,
    }


def user_scope(user: str, recipient: Recipient) -> dict[str, object]:
    """Build the variable `user`. Channels, platforms and apps are named once each."""
    channels: dict[str, None] = {}
    platforms: dict[str, None] = {}
    apps: dict[str, None] = {}
    for point in recipient.contact_points:
        channels[point.channel] = platforms[point.platform] = apps[point.app] = None
    return {
        "id": user,
        "known": recipient.version > 0,
        "locale": recipient.own_locale,
        "timezone": recipient.own_timezone,
        "channels": list(filter(None, channels)),
        "platforms": list(filter(None, platforms)),
        "apps": list(filter(None, apps)),
        "attributes": without_nulls(_parse(recipient.attributes)) if recipient.attributes else {},
    }


def _data(event: Event) -> Any:
    raw = bytes(event.data)
    try:
        data = _parse(raw)
    except msgspec.DecodeError as error:
        msg = "the event's data are not JSON"
        raise ExpressionError(msg) from error
    # `in` would ask first whether these bytes are a number, and drop an exception for it.
    return without_nulls(data) if raw.find(b"null") >= 0 else data
