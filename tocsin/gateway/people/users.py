"""`/v1/users/{id}`: reads, writes and erases users."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from tocsin.formats.subscriptions import subscription_key
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.people import texts
from tocsin.gateway.people.changing import Edit, tombstones
from tocsin.gateway.people.entry import Change, Entry
from tocsin.gateway.people.people import (
    IF_MATCH,
    audit_call,
    changes_of,
    check_match,
    known,
    unknown_user,
    user_of,
)
from tocsin.gateway.people.view import AWAY, away
from tocsin.gateway.problems import FieldError, Problem, ProblemDocument
from tocsin.gateway.writer import Failure, Record
from tocsin.model import topics
from tocsin.model.audit import Action
from tocsin.model.profile import Device, Preferences, QuietHours, Suppressed

MAX_BYTES: Final = 65_536
_KEPT: Final = frozenset({"devices", "preferences", "quiet_hours", "suppressed"})
"""What PUT leaves as it is unless the body names it: people change these elsewhere."""
_CHOICES: Final = frozenset({"preferences", "quiet_hours"})


class UserBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A user as a request writes it; null removes a field.

    Attributes:
        email: one bare address.
        phone: E.164.
        locale: a language tag, such as `de-AT`.
        timezone: an IANA name.
        contacts: addresses on further channels, by the channel's name.
        attributes: free fields that conditions of the catalog read, 4,096 bytes at most.
        devices: usually registered one by one under `/devices`.
        preferences: what the user allows; usually changed under `/preferences`.
        quiet_hours: start and end, `HH:MM`.
        suppressed: addresses to which nothing is sent.
        version: your own number of the profile, which grows with every change; counted if you leave it out.
    """

    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    contacts: dict[str, str] | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType | None = UNSET
    devices: list[Device] | UnsetType | None = UNSET
    preferences: Preferences | UnsetType | None = UNSET
    quiet_hours: QuietHours | UnsetType | None = UNSET
    suppressed: list[Suppressed] | UnsetType | None = UNSET
    version: int | UnsetType = UNSET


class UserAnswer(msgspec.Struct, omit_defaults=True):
    """A user. `updated` is false where a write changed nothing."""

    id: str
    email: str = ""
    phone: str = ""
    locale: str = ""
    timezone: str = ""
    devices: tuple[Device, ...] = ()
    preferences: Preferences = Preferences()
    quiet_hours: QuietHours | None = None
    version: int = 0
    attributes: dict[str, Any] = {}
    suppressed: tuple[Suppressed, ...] = ()
    contacts: dict[str, str] = {}


_FIELDS: Final = tuple(name for name in UserBody.__struct_fields__ if name != "version")
_EXAMPLE: Final = {
    "email": "ada@mail.example",
    "phone": "+12125550142",
    "locale": "en",
    "timezone": "America/New_York",
    "attributes": {"plan": "gold"},
}


def shown(user: str, entry: Entry) -> UserAnswer:
    """Show a user as the gate reads the profile."""
    return UserAnswer(user, **msgspec.structs.asdict(texts.read(entry.text)))


def _answer(status: int, user: str, entry: Entry) -> Answer:
    return Answer(status, shown(user, entry), {"etag": texts.tag_of(entry.text)})


async def get_user(call: Call) -> Answer:
    """Read a user."""
    user = user_of(call)
    return _answer(200, user, known(await changes_of(call.gateway).look(f"{call.tenant}/{user}")))


async def put_user(call: Call) -> Answer:
    """Write a user; what the body leaves out is removed, but for devices, preferences and quiet hours."""
    body = await call.body(UserBody)
    return await _write(call, body, whole=True)


async def patch_user(call: Call) -> Answer:
    """Change some fields of a user (RFC 7396); null removes one."""
    body = await call.body(UserBody)
    return await _write(call, body, whole=False)


async def _write(call: Call, body: UserBody, *, whole: bool) -> Answer:
    user = user_of(call)
    fields = sorted(_changes(body, whole=whole))
    subject = "put" if whole else "patch"
    changed = await changes_of(call.gateway).change(
        f"{call.tenant}/{user}",
        _writing(call, body, whole=whole),
        [audit_call(call, user, subject, fields=list(fields))],
    )
    return _answer(200 if changed.before.text else 201, user, changed.after)


def _changes(body: UserBody, *, whole: bool) -> dict[str, Any]:
    """Return what a body sets; None for what it removes."""
    given = {name: value for name in _FIELDS if (value := getattr(body, name)) is not UNSET}
    missing = {name: None for name in _FIELDS if whole and name not in given and name not in _KEPT}
    return missing | given


def _writing(call: Call, body: UserBody, *, whole: bool) -> Edit:
    def edit(entry: Entry) -> Change | None:
        if not whole and not entry.text:
            raise unknown_user()
        changes = _changes(body, whole=whole)
        text = texts.with_fields(entry.text, changes | {"version": _version(body, entry)})
        if text == entry.text:
            return None
        check_match(call.headers, texts.tag_of(entry.text), exists=bool(entry.text))
        check_fields(text, changes)
        return Change(text, (*changes, "version"))

    return edit


def _version(body: UserBody, entry: Entry) -> int:
    """Number a profile: a new say on what the user wants is a new version, and ends opt-outs by receipts.

    A user who is made without such a say has no version: who had no profile may have unsubscribed.

    Raises:
        Problem: the body's own number is lower than the one in force (409).
    """
    if body.version is not UNSET:
        if body.version < entry.version:
            cure = f"send a higher one than the {entry.version} in force, or leave it out"
            raise Problem(409, f"`version`: {cure}", errors=[FieldError("version", "a whole number", cure)])
        return body.version
    is_a_say = any(getattr(body, name) is not UNSET for name in _CHOICES)
    present = texts.read(entry.text).version if entry.text else 0
    return max(entry.version, present) + 1 if is_a_say else present


def check_fields(text: bytes, changes: Any) -> None:
    """Refuse fields that the gate would leave out; those that were there before are let be.

    Raises:
        Problem: 422.
    """
    errors = []
    for sentence in texts.faults_of(text):
        place, _, rest = sentence.partition(": ")
        if place.partition("[")[0].partition(".")[0] in changes:
            what, _, cure = rest.partition("; ")
            errors.append(FieldError(place, what.partition(", ")[0], cure))
    if errors:
        raise Problem(422, f"`{errors[0].field}`: {errors[0].cure}", errors=errors)


async def delete_user(call: Call) -> Answer:
    """Erase a user: profile, state, inbox, held notifications and subscriptions.

    Someone without a profile is erased as well: inline recipients have state, and an inbox, too.
    """
    user = user_of(call)
    owner, changes = f"{call.tenant}/{user}", changes_of(call.gateway)

    def edit(entry: Entry) -> Change | None:
        if entry.text:
            check_match(call.headers, texts.tag_of(entry.text), exists=True)
        return Change(b"")

    audited = audit_call(call, user, "user", Action.ERASURE_ASKED)
    changed = await changes.change(owner, edit, [audited])
    if not changed.before.text:
        await _write_all(call, [*tombstones([owner.encode()], topics.PROFILES), audited])
    await _end_subscriptions(call, user)
    return Answer(204)


async def _write_all(call: Call, records: Sequence[Record]) -> None:
    for result in await call.gateway.writer.write_all(records):
        if isinstance(result, Failure):
            raise result.problem


async def _end_subscriptions(call: Call, user: str) -> None:
    owner, view = f"{call.tenant}/{user}", changes_of(call.gateway).view
    try:
        found = list(await view.topics_of(owner))
        keys = [subscription_key(call.tenant, topic, user) for topic in found]
        await _write_all(call, tombstones(keys, topics.SUBSCRIPTIONS))
        await view.set_topics([(owner, topic, None) for topic in found])
    except AWAY:
        raise away() from None


_PATH: Final = "/v1/users/{id}"
_READ, _WRITE = "users:read", "users:write"
ENDPOINTS: Final = (
    Endpoint("GET", _PATH, get_user, "Read a user.", _READ, answers={200: UserAnswer}),
    Endpoint(
        "PUT",
        _PATH,
        put_user,
        "Write a user; devices, preferences and quiet hours that the body leaves out stay.",
        _WRITE,
        body=UserBody,
        answers={200: UserAnswer, 201: UserAnswer, 409: ProblemDocument, 412: ProblemDocument},
        example=_EXAMPLE,
        parameters=(IF_MATCH,),
        max_bytes=MAX_BYTES,
    ),
    Endpoint(
        "PATCH",
        _PATH,
        patch_user,
        "Change some fields of a user; null removes one.",
        _WRITE,
        body=UserBody,
        answers={200: UserAnswer, 409: ProblemDocument, 412: ProblemDocument},
        example={"locale": "de-AT", "phone": None},
        parameters=(IF_MATCH,),
        max_bytes=MAX_BYTES,
    ),
    Endpoint(
        "DELETE",
        _PATH,
        delete_user,
        "Erase a user for good.",
        _WRITE,
        answers={204: None, 412: ProblemDocument},
        parameters=(IF_MATCH,),
    ),
)
