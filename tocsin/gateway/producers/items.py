"""What a producer sends: notifications by name or by type, to users, inline recipients or topics.

Each recipient of each notification becomes one CloudEvent, the same that a producer would write to Kafka.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec

from tocsin.formats.asked import MAX_CHANNELS
from tocsin.formats.forwarded import Document
from tocsin.formats.shapes import MAX_TEXT
from tocsin.gateway.problems import Problem, decoded, of_field
from tocsin.model.event import NAMED, Recipient

SOURCE: Final = "/v1/notifications"
"""The source of all events that this endpoint writes."""
MOST: Final = 1_000
"""Events of one request at most: recipients of all its notifications together."""
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
_Channels = Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=MAX_CHANNELS)]
_NO_DATA: Final = msgspec.Raw(b"{}")


class To(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A recipient: a user by id, someone without a profile by contacts, or all subscribers of a topic.

    Attributes:
        user: id of a user. With contacts beside it: these count as long as the user has no profile.
        email: one bare address.
        phone: E.164, like +4915112345678.
        contacts: addresses on channels without a field of their own.
        locale: language tag of someone without a profile.
        timezone: IANA zone of someone without a profile.
        topic: all subscribers of this topic, in place of a user.
        segment: refused here: a segment is reached by a broadcast.
    """

    user: _Text | None = None
    email: str | None = None
    phone: str | None = None
    contacts: dict[str, str] | None = None
    locale: str | None = None
    timezone: str | None = None
    topic: _Text | None = None
    segment: _Text | None = None


_Recipients = _Text | To | Annotated[list[_Text | To], msgspec.Meta(min_length=1, max_length=MOST)]


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One notification to send.

    Attributes:
        to: one recipient or several; a text is the id of a user.
        notification: name of one notification of the catalog: that one is sent, whatever its `on` says.
        type: in its place, an event type: the catalog chooses the notifications.
        data: what conditions and templates read.
        send_at: not before this time, RFC 3339.
        expires: not after this time, RFC 3339.
        channels: only these channels.
        cancel_key: sending again with the same key replaces what still waits; a cancel event may name it.
        id: of the event, so that sending again is known as a duplicate; by default from the request.
        tenant: may be left out; must be the key's.
    """

    to: _Recipients
    notification: _Text | None = None
    type: _Text | None = None
    data: dict[str, Any] = {}
    send_at: str | None = None
    expires: str | None = None
    channels: _Channels | None = None
    cancel_key: _Text | int | None = None
    id: _Text | None = None
    tenant: str | None = None


def _as_read(kind: type[msgspec.Struct]) -> Any:
    """Build the type that is read: `data` stays the JSON that came."""
    fields = [
        (one.name, msgspec.Raw, _NO_DATA) if one.name == "data"
        else (one.name, one.type) if one.required
        else (one.name, one.type, one.default)
        for one in msgspec.structs.fields(kind)
    ]  # fmt: skip
    return msgspec.defstruct(kind.__name__, fields, frozen=True, forbid_unknown_fields=True, kw_only=True)


_READ: Final = _as_read(Notification)
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class Outgoing(NamedTuple):
    """An event that is to be written, not checked yet.

    Attributes:
        number: of its notification in the request.
        at: place of that in the body; empty for the body itself.
        value: the CloudEvent.
        is_first: whether its id is new by chance; otherwise an earlier record may have it.
    """

    number: int
    at: str
    value: bytes
    is_first: bool


class Origin(NamedTuple):
    """Who sends, and when: what all events of a request have in common.

    Attributes:
        tenant: of the key.
        request: the first part of the events' ids.
        time: of the events, RFC 3339.
        is_new: whether no earlier request can have used these ids.
    """

    tenant: str
    request: str
    time: str
    is_new: bool


def event_time(now_ms: int) -> str:
    """Write the time of an event."""
    return f"{_second(now_ms // 1_000)}.{now_ms % 1_000:03d}Z"


@lru_cache(8)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def items_of(body: bytes) -> tuple[list[msgspec.Raw], bool]:
    """Take a body apart: the notifications as they came, and whether it is a list.

    Raises:
        Problem: it is neither an object nor a list of 1 to 1,000.
    """
    if body.lstrip()[:1] != b"[":
        return [msgspec.Raw(body)], False
    items, at = decoded(body, list[msgspec.Raw]), ""
    if not 0 < len(items) <= MOST:
        raise of_field(at, f"a list of {len(items)}", f"send 1 to {MOST} notifications in one request")
    return items, True


def place_of(index: int, *, is_list: bool) -> str:
    """Name the place of an item in the body.

    >>> place_of(3, is_list=True), place_of(0, is_list=False)
    ('[3]', '')
    """
    return f"[{index}]" if is_list else ""


def recipients(given: Any) -> list[tuple[str, Any]]:
    """List the recipients of an item, each with its place."""
    if not isinstance(given, list):
        return [("to", given)]
    return [(f"to[{number}]", one) for number, one in enumerate(given)]


def read_item(item: msgspec.Raw, at: str) -> Any:
    """Read one notification.

    Raises:
        Problem: it has the wrong form, or names no notification and no type, or both.
    """
    found = decoded(item, _READ, at)
    if (found.notification is None) == (found.type is None):
        raise of_field(
            joined(at, "notification"),
            "missing" if found.type is None else "beside a type",
            "name one notification of the catalog, or an event type in `type`; not both",
        )
    return found


def joined(at: str, field: str) -> str:
    """Join the place of an item and a field of it."""
    return f"{at}.{field}" if at else field


def events_of(item: Any, index: int, at: str, origin: Origin) -> Iterator[Outgoing]:
    """Build the events of one notification, one for each recipient.

    Args:
        item: as it was read.
        index: its number in the request.
        at: its place in the body.
        origin: what all events of the request have in common.

    Raises:
        Problem: a recipient has the wrong form.
    """
    found = recipients(item.to)
    for number, (place, to) in enumerate(found):
        event_id = f"{origin.request}-{index}" if item.id is None else item.id
        event_id = event_id if len(found) == 1 else f"{event_id}.{number}"
        to = To(user=to) if isinstance(to, str) else to
        where = joined(at, place)
        value = _encode(_document(item, _checked(to, where), event_id, origin))
        yield Outgoing(index, at, value, origin.is_new and item.id is None)


def _checked(to: To, at: str) -> To:
    if to.segment is not None:
        cure = "send it as a broadcast: POST /v1/broadcasts takes segments, lists and everyone"
        raise of_field(joined(at, "segment"), "a segment", cure)
    inline = to.email or to.phone or to.contacts
    if to.topic is not None and (to.user or inline):
        raise of_field(joined(at, "topic"), "beside a recipient", "name a topic or a recipient, not both")
    if not (to.topic or to.user or inline):
        raise of_field(at, "nobody", "name a user, an email, a phone, contacts or a topic")
    return to


def _document(item: Any, to: To, event_id: str, origin: Origin) -> Document:
    inline = None
    if to.email or to.phone or to.contacts:
        inline = Recipient(
            to.email or "", to.phone or "", to.locale or "", to.timezone or "", to.contacts or {}
        )
    return Document(
        "1.0",
        event_id,
        SOURCE,
        item.type or NAMED,
        to.user,
        origin.time,
        origin.tenant,
        item.data,
        inline,
        item.send_at,
        item.expires,
        to.topic or "",
        tocsinnotification=item.notification or "",
        tocsinchannels=",".join(item.channels or ()),
        tocsincancelkey="" if item.cancel_key is None else str(item.cancel_key),
    )


def too_many() -> Problem:
    """Refuse a request with too many recipients."""
    cure = f"send at most {MOST} events in one request: recipients of all its notifications together"
    return of_field("", "too many recipients", cure)
