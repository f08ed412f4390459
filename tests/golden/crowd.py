"""People and events that meet every rule of the catalog `rules`, made from numbers: the same every time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from tests.golden.answers import HOUR, MINUTE, SECOND
from tests.golden.recorder import Planned

T = TypeVar("T")
Document = dict[str, Any]
# Friday noon in Berlin; the clock there leaps on Sunday night.
START_MS = 1_774_609_200_000
DAYS = 3
_USERS, _EVENTS = 84, 42
_KINDS = (
    "alarm", "notice", "update", "update", "offer.spring", "offer.summer", "once", "drip", "drip", "few",
    "few",
    "later", "daytime", "nightly", "personal", "muted", "dropped", "fragile", "narrowed", "nothing.asks",
)  # fmt: skip
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "")
_WISHES: tuple[Document, ...] = (
    {},
    {},
    {"enabled": False},
    {"channels": {"email": False, "sms": True}},
    {"categories": {"updates": False, "offers": True}},
    {"categories": {"updates": {"push": False, "email": False}}},
    {"notifications": {"drip": False, "muted": True}},
    {"snoozed_until": "2026-03-28T12:00:00Z"},
    {},
)
_QUIET = (None, None, {"start": "21:30", "end": "08:00"}, {"start": "13:00", "end": "14:30"})


def draw(bound: int, *fields: object) -> int:
    """Draw a number below a bound, fixed by what it is for."""
    return crc32("/".join(map(str, fields)).encode()) % bound


def pick(values: Sequence[T], *fields: object) -> T:
    """Draw one of some values."""
    return values[draw(len(values), *fields)]


def rfc3339(at_ms: int) -> str:
    """Write a time as producers do."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def key_of(tenant: str, user: str) -> bytes:
    """Give the key of a user's records."""
    return f"{tenant}/{user}".encode()


def event(at_ms: int, tenant: str, user: str, kind: str, name: str, **more: Any) -> Planned:
    """Make an event; further fields are attributes of the CloudEvent, but `topic` is where it goes."""
    topic = more.pop("topic", "events")
    document = {
        "specversion": "1.0", "id": name, "source": "/golden", "type": kind, "subject": user,
        "tenant": tenant, "time": rfc3339(at_ms), "data": {}, **more,
    }  # fmt: skip
    present = {field: value for field, value in document.items() if value is not None}
    return Planned(at_ms, topic, key_of(tenant, user), msgspec.json.encode(present))


def profile(at_ms: int, tenant: str, user: str, **fields: Any) -> Planned:
    """Make a profile."""
    return Planned(at_ms, "profiles", key_of(tenant, user), msgspec.json.encode(fields))


def people() -> Iterator[Planned]:
    """Make the crowd: profiles, their changes and erasures, and everybody's events."""
    for number in range(_USERS):
        tenant = ("lab", "lab", "lab", "free", "gone")[number % 5]
        user = f"user-{number:02}"
        if number % 7:
            yield from _profiles(number, tenant, user)
        for turn in range(_EVENTS):
            yield from _events(number, tenant, user, turn)


def _profiles(number: int, tenant: str, user: str) -> Iterator[Planned]:
    late_ms = 6 * SECOND if number % 9 == 0 else 0
    yield profile(START_MS + late_ms, tenant, user, **_profile(number, 1))
    if number % 3 == 0:
        yield profile(START_MS + 20 * HOUR + number * MINUTE, tenant, user, **_profile(number, 2))
    if number % 11 == 0:
        yield Planned(START_MS + 14 * HOUR + number * MINUTE, "profiles", key_of(tenant, user), None)
    if number % 22 == 0:
        yield profile(START_MS + 40 * HOUR, tenant, user, **_profile(number, 3))


def _profile(number: int, version: int) -> Document:
    devices = [
        {"platform": "ios", "token": f"token-{number}-{version}"},
        {"platform": "android", "token": f"token-{number}", "registered_at": "2026-01-01T00:00:00Z"},
        {"platform": "web", "subscription": {"endpoint": f"https://push.example/{number}", "auth": "a"}},
    ]
    return {
        "email": f"user{number}@mail.example" if draw(10, "email", number) else "",
        "phone": f"+1212555{number:04}" if draw(4, "phone", number) else "",
        "locale": pick(("de", "en-GB", ""), "locale", number),
        "timezone": pick(_ZONES, "zone", number),
        "devices": devices[: draw(4, "devices", number, version)],
        "preferences": pick(_WISHES, "wishes", number, version),
        "quiet_hours": pick(_QUIET, "quiet", number, version),
        "version": 0 if number % 5 == 1 else version,
    }


def _events(number: int, tenant: str, user: str, turn: int) -> Iterator[Planned]:
    what = (number, turn)
    at_ms = START_MS + (2 * SECOND if turn == 0 else draw(_span_ms(number), "time", *what))
    more = {
        "data": {
            "key": f"k{draw(4, 'key', *what)}",
            "delay": draw(120, "delay", *what),
            "n": 1 if turn % 4 else 0,
        },
        "recipient": None if number % 7 else _inline(number),
        "tocsinsendat": None if draw(15, "send", *what) else rfc3339(at_ms + draw(6 * HOUR, "wait", *what)),
        "tocsinexpires": None if draw(15, "end", *what) else rfc3339(at_ms + draw(9 * HOUR, "span", *what)),
        "topic": "events" if draw(8, "topic", *what) else "bulk",
    }
    late_ms = draw(2 * HOUR, "late", *what) if draw(6, "is-late", *what) == 0 else 0
    made = event(at_ms, tenant, user, pick(_KINDS, "kind", *what), f"{user}/{turn}", **more)
    if late_ms:
        made = made._replace(at_ms=at_ms + late_ms)
    yield made
    if draw(12, "twice", *what) == 0:
        yield made._replace(at_ms=made.at_ms + draw(30 * HOUR, "again", *what))
    if draw(25, "forward", *what) == 0:
        topic = "bulk" if turn % 2 else "events"
        yield event(at_ms, tenant, user, "notice", f"{user}/{turn}/elsewhere", topic=topic)._replace(
            partition=turn % 4
        )


def _span_ms(number: int) -> int:
    """Give every fourth user all events within some hours, so that limits and dedup keys have work."""
    return 4 * HOUR if number % 4 == 0 else DAYS * 24 * HOUR


def _inline(number: int) -> Document:
    return {
        "email": f"guest{number}@mail.example",
        "phone": f"+1312555{number:04}" if number % 2 else "",
        "locale": pick(("de", "en"), "inline", number),
        "timezone": pick(_ZONES, "inline-zone", number),
    }
