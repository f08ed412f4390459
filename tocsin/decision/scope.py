"""Builds the variables that the expressions of the catalog read of an event and its recipient."""

from typing import Any

import msgspec

from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.catalog.sandbox import without_nulls
from tocsin.decision.recipient import Recipient
from tocsin.model.event import Event

_parse = msgspec.json.Decoder().decode


def scope_of(event: Event, recipient: Recipient, needs: frozenset[str]) -> Scope:
    """Build the variables that are needed, and no others.

    Raises:
        ExpressionError: the data are not JSON.
    """
    scope: dict[str, object] = {}
    if "data" in needs:
        scope["data"] = _data(event)
    if "event" in needs:
        scope["event"] = {
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.user,
            "tenant": event.tenant,
            "time_ms": event.time_ms,
        }
    if "user" in needs:
        scope["user"] = user_scope(event.user, recipient)
    return Scope(scope)


def user_scope(user: str, recipient: Recipient) -> dict[str, object]:
    """Build the variable `user`."""
    return {
        "id": user,
        "known": recipient.version > 0,
        "locale": recipient.own_locale,
        "timezone": recipient.own_timezone,
        "channels": list(dict.fromkeys(point.channel for point in recipient.contact_points)),
    }


def _data(event: Event) -> Any:
    raw = bytes(event.data)
    try:
        data = _parse(raw)
    except msgspec.DecodeError as error:
        msg = "the event's data are not JSON"
        raise ExpressionError(msg) from error
    return without_nulls(data) if b"null" in raw else data
