"""The endpoints of the inbox: a user's device reads it with a user token, a company's server makes one."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.inbox import tokens
from tocsin.gateway.inbox.service import InboxService, redis_needed, service_of
from tocsin.gateway.inbox.tokens import InboxUser
from tocsin.gateway.problems import Problem, of_field
from tocsin.providers.inbox import Action, Inbox, Place, Shown, State

_USUAL, _MOST = 20, 100
_AT_ONCE = 200
_ROUNDS = 25
_MESSAGE_ID = Annotated[str, Meta(min_length=1, max_length=64)]
_WHEN = Annotated[int, Meta(ge=0, le=2**53)]


class EntryView(msgspec.Struct, frozen=True):
    """An entry of an inbox. Its texts are plain: escape them.

    Attributes:
        message_id: its id.
        notification_id: the notification that it belongs to.
        notification: name in the catalog.
        category: category in the catalog.
        title: its title.
        body: its text.
        url: where it leads; empty for nowhere.
        at_ms: when it was decided, ms since 1970.
        expires_ms: when it goes by itself; 0 for never.
        seen: the user has seen it in a list.
        read: the user has read it.
        archived: the user has put it aside.
    """

    message_id: str
    notification_id: str
    notification: str
    category: str
    title: str
    body: str
    url: str
    at_ms: int
    expires_ms: int
    seen: bool
    read: bool
    archived: bool


class CountsView(msgspec.Struct, frozen=True):
    """How many entries are not read, and not seen. Archived entries are read."""

    unread: int
    unseen: int


class ListView(msgspec.Struct, frozen=True):
    """A part of an inbox, newest first.

    Attributes:
        entries: the entries.
        unread: entries of the whole inbox that are not read.
        unseen: entries of the whole inbox that are not seen.
        next: cursor of the next part; null at the end.
        last_event_id: give this to the live stream, so that no change between is missed.
    """

    entries: list[EntryView]
    unread: int
    unseen: int
    next: str | None
    last_event_id: str


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Names entries: by id, or all of them.

    Attributes:
        ids: message ids. Ids that this inbox does not have are passed over.
        all: all that are open; to unarchive, all that are archived.
        until_ms: of all, only those decided until then: what came after the page was drawn stays.
    """

    ids: Annotated[list[_MESSAGE_ID], Meta(min_length=1, max_length=_AT_ONCE)] | None = None
    all: bool = False
    until_ms: _WHEN | None = None


class ChangedView(msgspec.Struct, frozen=True):
    """What a request changed.

    Attributes:
        changed: message ids of the entries that it changed.
        unread: entries not read, afterwards.
        unseen: entries not seen, afterwards.
    """

    changed: list[str]
    unread: int
    unseen: int


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a token is to last, in seconds."""

    lasts_s: Annotated[int, Meta(ge=60, le=tokens.LONGEST_S)] = tokens.USUAL_S


class TokenView(msgspec.Struct, frozen=True):
    """A user token, and when it ends."""

    token: str
    user: str
    expires_ms: int


async def _user(call: Call) -> tuple[InboxService, InboxUser]:
    """Prove whose inbox is asked for."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    service = service_of(call.gateway)
    given = token.strip() if scheme.casefold() == "bearer" else ""
    return service, await service.admitted(given, call.now_ms)


async def _list(call: Call) -> Answer:
    service, user = await _user(call)
    asked = _Asked(call)
    with redis_needed():
        return Answer(200, await _read(service.inbox(user.tenant), user.key, asked))


class _Asked:
    """What a request for a list asks for."""

    def __init__(self, call: Call) -> None:
        self.state = _state(call.query.get("state", "open"))
        self.count = _count(call.query.get("limit", str(_USUAL)))
        self.after = _place(call.query.get("cursor", ""))
        self.category = call.query.get("category")
        self.notification = call.query.get("notification")

    @property
    def is_narrow(self) -> bool:
        return self.category is not None or self.notification is not None

    def fits(self, shown: Shown) -> bool:
        entry = shown.entry
        return self.category in (None, entry.category) and self.notification in (None, entry.notification)


async def _read(inbox: Inbox, user_key: str, asked: _Asked) -> ListView:
    """Read pages until enough entries fit, or many pages were read in vain."""
    found: list[Shown] = []
    after = asked.after
    for _ in range(_ROUNDS):
        most = _AT_ONCE if asked.is_narrow else asked.count - len(found)
        page = await inbox.page(user_key, state=asked.state, count=most, after=after)
        found += [shown for shown in page.shown if asked.fits(shown)]
        after = page.rest
        if after is None or len(found) >= asked.count:
            break
    if len(found) > asked.count:
        found = found[: asked.count]
        after = Place(found[-1].entry.at_ms, found[-1].entry.message_id)
    cursor = _cursor(after) if after else None
    return ListView([_view(each) for each in found], *page.counts, cursor, page.last)


def _view(shown: Shown) -> EntryView:
    entry = shown.entry
    return EntryView(
        message_id=entry.message_id,
        notification_id=entry.notification_id,
        notification=entry.notification,
        category=entry.category,
        title=entry.title,
        body=entry.body,
        url=entry.url,
        at_ms=entry.at_ms,
        expires_ms=entry.expires_ms,
        seen=not shown.unseen,
        read=not shown.unread,
        archived=shown.archived,
    )


def _state(text: str) -> State:
    found = next((state for state in get_args(State) if state == text), None)
    if found is None:
        raise of_field("state", "another word", f"give one of {', '.join(get_args(State))}")
    return found  # type: ignore[no-any-return]  # one of the words of State


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(_MOST)) + 1 else 0
    if not 1 <= count <= _MOST:
        raise of_field("limit", "out of bounds", f"give a number from 1 to {_MOST}")
    return count


def _cursor(place: Place) -> str:
    return urlsafe_b64encode(f"{place.at_ms}:{place.message_id}".encode()).rstrip(b"=").decode()


def _place(cursor: str) -> Place | None:
    """Read a cursor. It needs no signature: it leads nowhere but in the caller's own inbox."""
    if not cursor:
        return None
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"==").decode()
    except (binascii.Error, ValueError):
        text = ""
    at, _, message_id = text.partition(":")
    if not (at.isascii() and at.isdigit() and len(at) <= len(str(2**53)) and message_id):
        raise of_field("cursor", "no cursor", "give `next` of the answer before as it came")
    return Place(int(at), message_id)


async def _counts(call: Call) -> Answer:
    service, user = await _user(call)
    with redis_needed():
        counts = await service.inbox(user.tenant).counts(user.key)
    return Answer(200, CountsView(*counts))


def _marking(action: Action) -> Callable[[Call], Awaitable[Answer]]:
    async def mark(call: Call) -> Answer:
        service, user = await _user(call)
        marks = await call.body(Marks)
        if (marks.ids is None) != marks.all or (marks.until_ms is not None and not marks.all):
            raise of_field(
                "ids", "missing or too much", "give either `ids`, or `all` with or without `until_ms`"
            )
        if marks.all and action == "click":
            raise of_field("all", "true", "give `ids`: a user follows one link")
        acted = await service.act(user, action, marks.ids, marks.until_ms)
        return Answer(200, ChangedView(acted.changed, *acted.counts))

    return mark


async def _delete(call: Call) -> Answer:
    service, user = await _user(call)
    acted = await service.act(user, "delete", [call.path["id"]])
    return Answer(200, ChangedView(acted.changed, *acted.counts))


async def _token(call: Call) -> Answer:
    """Make a token with the caller's own key, so that it ends with it."""
    user, raw = call.path["id"], await call.raw_body()
    asked = await call.body(TokenRequest) if raw else TokenRequest()
    key = call.gateway.keys.find(call.caller.key_id) if call.caller else None
    if key is None or not key.valid(call.now_ms):
        raise Problem(401, "this API key is not valid: it is unknown, revoked or over")
    if not tokens.is_user(user):
        cure = f"give a user id of at most {tokens.MOST_USER} characters, without control characters"
        raise of_field("id", "a text", cure)
    token = tokens.sign(key, call.gateway.secret, user, call.now_ms, asked.lasts_s)
    expires_ms = (call.now_ms // 1_000 + asked.lasts_s) * 1_000
    return Answer(200, TokenView(token, user, expires_ms))


_AUTHORIZATION = Parameter(
    "Authorization",
    "header",
    str,
    "`Bearer` and a user token, from `POST /v1/users/{id}/inbox-token`",
    required=True,
    example="Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln",
)
_LIST = (
    _AUTHORIZATION,
    Parameter(
        "state", "query", Literal[get_args(State)], "which entries; `open`: all but archived", example="open"
    ),
    Parameter("category", "query", str, "only entries of this category", example="flight_updates"),
    Parameter("notification", "query", str, "only entries of this notification", example="gate_moved"),
    Parameter(
        "limit", "query", Annotated[int, Meta(ge=1, le=_MOST)], f"entries at most, {_USUAL} by default"
    ),
    Parameter("cursor", "query", str, "`next` of the answer before"),
)
_SUMMARIES: dict[Action, str] = {
    "seen": "Mark entries as seen: the user had them in view.",
    "read": "Mark entries as read. They are seen, too.",
    "archive": "Put entries aside. They are read, too.",
    "unarchive": "Take archived entries back.",
    "delete": "Delete entries for good. They count as read.",
    "click": "Report that the user followed the link of an entry. It is read, too.",
}
_EXAMPLE = {"ids": ["68e156c13bd918784105b3d392ec795f"]}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/users/{id:path}/inbox-token",
        _token,
        "Make a token with which a user's own device reads the inbox.",
        scope=tokens.SCOPE,
        body=TokenRequest,
        answers={200: TokenView},
        example={"lasts_s": 3_600},
    ),
    Endpoint(
        "GET", "/v1/inbox", _list, "List entries, newest first.", answers={200: ListView}, parameters=_LIST
    ),
    Endpoint(
        "GET",
        "/v1/inbox/counts",
        _counts,
        "Count the entries not read and not seen.",
        answers={200: CountsView},
        parameters=(_AUTHORIZATION,),
    ),
    *(
        Endpoint(
            "POST",
            f"/v1/inbox/{action}",
            _marking(action),
            summary,
            body=Marks,
            answers={200: ChangedView},
            example=_EXAMPLE,
            parameters=(_AUTHORIZATION,),
            max_bytes=32_768,
        )
        for action, summary in _SUMMARIES.items()
    ),
    Endpoint(
        "DELETE",
        "/v1/inbox/entries/{id}",
        _delete,
        "Delete one entry for good.",
        answers={200: ChangedView},
        parameters=(_AUTHORIZATION,),
    ),
)
