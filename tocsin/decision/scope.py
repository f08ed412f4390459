"""What the expressions of the catalog may read of an event and its user, and no more of it than they do."""

from typing import Any

import msgspec

from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.decision.record import UserRecord
from tocsin.model.event import Event

_parse = msgspec.json.Decoder().decode


def scope_of(event: Event, person: UserRecord, needs: frozenset[str]) -> Scope:
    """Build what expressions may read, and no more of it than they do.

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
        scope["user"] = {
            "id": event.user,
            "known": person.version > 0,
            "locale": person.locale,
            "timezone": person.timezone,
            "channels": list(dict.fromkeys(point.channel for point in person.points)),
        }
    return Scope(scope)


def _data(event: Event) -> Any:
    try:
        return _parse(event.data)
    except msgspec.DecodeError as error:
        msg = "the event's data are not JSON"
        raise ExpressionError(msg) from error
