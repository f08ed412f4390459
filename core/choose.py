"""Which notifications an event means: expressions evaluated, all of them before anything is decided.

So an event whose expression fails is dead as a whole, with nothing of it sent, and can be replayed.
"""

from typing import Any, NamedTuple

import msgspec

from core.expressions import ExpressionError, Scope
from core.plans import ChannelPlan, Plan
from core.record import UserRecord
from models.event import Event

_parse = msgspec.json.Decoder().decode


class Chosen(NamedTuple):
    """A notification that an event means, with the channels and keys its expressions gave."""

    plan: Plan
    channels: tuple[ChannelPlan, ...]
    dedup_key: str = ""
    collapse_key: str = ""


def fixed(plan: Plan) -> Chosen | None:
    """Choose a notification without expressions once for all events; None if it has any."""
    conditions = [plan.when, plan.dedup_key, plan.collapse_key, *(channel.when for channel in plan.channels)]
    return Chosen(plan, plan.channels) if all(one is None for one in conditions) else None


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


def choose(plan: Plan, scope: Scope) -> Chosen | None:
    """Evaluate a notification's expressions; None if its condition does not hold.

    Raises:
        ExpressionError: one of them failed on this event.
    """
    if plan.when is not None and not plan.when.test(scope):
        return None
    return Chosen(
        plan,
        tuple(channel for channel in plan.channels if channel.when is None or channel.when.test(scope)),
        plan.dedup_key.text(scope) if plan.dedup_key else "",
        plan.collapse_key.text(scope) if plan.collapse_key else "",
    )


def _data(event: Event) -> Any:
    try:
        return _parse(event.data)
    except msgspec.DecodeError as error:
        msg = "the event's data are not JSON"
        raise ExpressionError(msg) from error
