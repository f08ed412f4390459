"""Refuses here what the gate would dead-letter, with the gate's own reader of events."""

import difflib
from collections.abc import Collection, Mapping
from typing import Final

from tocsin.app.settings import Settings
from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.loader import Catalog
from tocsin.errors import DecodeError
from tocsin.formats.broadcasts import CONTROL_TYPE
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.gateway.problems import FieldError, Problem, field_error, of_field
from tocsin.model import topics
from tocsin.model.channels import CHANNELS
from tocsin.model.event import CANCEL, CONTROL, Event
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

FIELDS: Final[Mapping[str, str]] = {
    "subject": "to",
    "recipient": "to",
    "tocsintopic": "to.topic",
    "tocsinnotification": "notification",
    "tocsinchannels": "channels",
    "tocsincancelkey": "cancel_key",
    "tocsinsendat": "send_at",
    "tocsinexpires": "expires",
    "value": "",
}
"""Names of a notification's fields by those of its event."""
_NAMED = 20  # of the notifications that there are, in an answer
_STATUSES: Final = {Reason.TOO_LARGE: 413}


def limits_of(settings: Settings) -> EventLimits:
    """Return the gate's limits."""
    checks = settings.clock != "stream"
    return EventLimits(settings.max_record_bytes, settings.max_past_s, settings.max_future_s, checks)


def read_event(
    value: bytes, now_ms: int, limits: EventLimits, at: str = "", names: Mapping[str, str] | None = None
) -> Event:
    """Read an event as the gate will.

    Args:
        value: the CloudEvent in structured mode.
        now_ms: the time of the request.
        limits: sizes and times that are accepted.
        at: its place in the body.
        names: what the body calls the fields of events; None for the same.

    Raises:
        Problem: the gate would not accept it.
    """
    try:
        return decode_event(RawRecord(topics.EVENTS, 0, 0, now_ms, None, value, ()), limits)
    except DecodeError as error:
        raise problem_of(error, at, names or {}) from None


def problem_of(error: DecodeError, at: str, names: Mapping[str, str]) -> Problem:
    """Turn the gate's refusal into a problem: its text is `field: fault; cure`."""
    text = str(error)
    named, _, rest = text.partition(": ")
    fault, _, cure = rest.rpartition("; ")
    if not named.isidentifier():
        said, _, cure = text.rpartition("; ")
        found = field_error(said)
        named, fault = found.field, found.kind
    field = names.get(named, named)
    where = f"{at}.{field}" if at and field else at or field
    wrong = FieldError(where, fault or cure, cure)
    detail = f"{f'`{where}`' if where else 'the body'}: {fault or cure}; {cure}"
    return Problem(_STATUSES.get(error.reason, 422), detail, errors=[wrong])


def check_known(
    event: Event, catalog: Catalog, at: str, field: str = "notification", channels: str = "channels"
) -> None:
    """Refuse an event whose tenant or notification the catalog does not have, or none of whose channels.

    Raises:
        Problem: with the nearest name.
    """
    tenant = catalog.tenants.get(event.tenant)
    if tenant is None:
        cure = "ask the operator: the catalog has no tenant of this name, or its files have mistakes"
        wrong = FieldError("tenant", "not in the catalog", cure)
        raise Problem(422, f"`tenant`: {cure}", errors=[wrong])
    asked = event.asked.notification if event.asked is not None else ""
    if asked and asked not in tenant.notifications:
        close = difflib.get_close_matches(asked, tenant.notifications, 1)
        cure = f"did you mean {close[0]}?" if close else f"the catalog has {_some(tenant.notifications)}"
        raise of_field(f"{at}.{field}" if at else field, "not in the catalog", cure)
    if asked:
        _check_channels(event, tenant.notifications[asked], at, channels)


def _some(names: Collection[str]) -> str:
    """List names, the first of many."""
    first = sorted(names)[:_NAMED]
    return ", ".join(first) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _check_channels(event: Event, notification: CompiledNotification, at: str, field: str) -> None:
    """Refuse channels that leave nothing of the notification, and those that nobody has."""
    given = event.asked.channels if event.asked is not None else ()
    if not given:
        return
    own = {one.name for one in notification.all_channels}
    unknown = any(one not in CHANNELS and one not in own for one in given)
    if unknown or own.isdisjoint(given):
        cure = f"name channels of this notification: {', '.join(sorted(own))}"
        raise of_field(f"{at}.{field}" if at else field, "not among its channels", cure)


def check_type(event: Event, at: str, *, may_control: bool) -> None:
    """Refuse the types of control events, except for those that the caller may write.

    Raises:
        Problem: the type is Tocsin's own.
    """
    kind = event.type
    if not kind.startswith(CONTROL):
        return
    if may_control and kind in {CANCEL, CONTROL_TYPE}:
        return
    cure = "types that begin with `tocsin.` are Tocsin's own; DELETE /v1/notifications/{id} cancels"
    raise of_field(f"{at}.type" if at else "type", "a reserved name", cure)
