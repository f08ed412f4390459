"""Invents passengers: names, languages, addresses that reach nobody, and preferences.

Mail goes to the domains that RFC 2606 reserves, phone numbers are those of fiction (555-0100 to 555-0199).
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import shake_256
from typing import NamedTuple

import msgspec

from tocsin.devkit.browsers import subscription
from tocsin.devkit.draws import Draws
from tocsin.devkit.names import FIRST_NAMES, LAST_NAMES, US_AREA_CODES
from tocsin.errors import SettingsError
from tocsin.model.profile import Device, Preferences, Profile, QuietHours

TENANT = "default"
MAX_PASSENGERS = 10_000_000

# Of a hundred passengers: locale, and where people of that locale who fly from New York live.
_HOMES = (
    (42, "en-US", ("America/New_York", "America/New_York", "America/Chicago", "America/Los_Angeles")),
    (8, "en-GB", ("Europe/London",)),
    (18, "de-DE", ("Europe/Berlin", "America/New_York")),
    (6, "de-AT", ("Europe/Vienna",)),
    (10, "es-US", ("America/New_York", "America/Denver", "America/Puerto_Rico")),
    (10, "es-MX", ("America/Mexico_City", "America/Tijuana")),
    (6, "es-ES", ("Europe/Madrid",)),
)
_HOME_OF = [(locale, zones) for share, locale, zones in _HOMES for _ in range(share)]
_MAIL_DOMAINS = ("example.com", "example.net", "example.org")
_FICTION = 100  # numbers 555-0100 to 555-0199 of an area
_ASCII = str.maketrans("áéíóúñäöüëÁ'", "aeiounaoueA-") | {ord("ß"): "ss"}
_NEVER_BEFORE = datetime(2012, 1, 1, tzinfo=UTC)
_DAYS_BEFORE = 360
_BROWSERS_PERCENT = 12
_TOKEN_BYTES = 117  # 156 letters
_QUIET = (("22:00", "07:00"), ("23:00", "06:30"), ("21:30", "08:00"))


class Passenger(NamedTuple):
    """Describes one invented person: the user id, a name, and the profile as it is published."""

    user: str
    first_name: str
    last_name: str
    profile: Profile


class _Person(NamedTuple):
    locale: str
    zones: tuple[str, ...]
    first_name: str
    last_name: str


class Passengers:
    """Makes the passengers 0 to count - 1 of a seed, when they are asked for.

    A passenger depends on its number and the seed alone: a larger crowd begins with the same people. With the
    address of a push service, one in eight has a browser there.

    Raises:
        SettingsError: count is not from 1 to ten million.
    """

    def __init__(self, count: int, seed: int, push_service: str = "") -> None:
        if not 1 <= count <= MAX_PASSENGERS:
            msg = f"passengers must be 1 to {MAX_PASSENGERS}, not {count}"
            raise SettingsError(msg)
        self._numbers = range(count)
        self._seed = seed
        self._push_service = push_service

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Passenger]:
        return (self._passenger(number) for number in self._numbers)

    def __getitem__(self, number: int) -> Passenger:
        return self._passenger(self._numbers[number])

    def _passenger(self, number: int) -> Passenger:
        made = _passenger(number, self._seed)
        if not self._push_service or not Draws(self._seed, "browser", number).chance(_BROWSERS_PERCENT):
            return made
        name = browser_name(number, self._seed)
        given = Device(
            "web", subscription=subscription(self._push_service, name), registered_at=_NEVER_BEFORE
        )
        devices = (*made.profile.devices, given)
        return made._replace(profile=msgspec.structs.replace(made.profile, devices=devices))

    def first_name(self, number: int) -> str:
        """Name one without making up the rest: cheap enough for every event."""
        return _first_name(self._numbers[number], self._seed)


def user_id(number: int) -> str:
    """Name a passenger's user.

    >>> user_id(42)
    'passenger-000042'
    """
    return f"passenger-{number:06d}"


def browser_name(number: int, seed: int) -> str:
    """Name a passenger's browser at the push service.

    >>> browser_name(42, 2013)
    'browser-2013-000042'
    """
    return f"browser-{seed}-{number:06d}"


def _draws(number: int, seed: int) -> Draws:
    return Draws(seed, "passenger", number)


def _person(draws: Draws) -> _Person:
    locale, zones = draws.pick(_HOME_OF)
    language = locale[:2]
    return _Person(locale, zones, draws.pick(FIRST_NAMES[language]), draws.pick(LAST_NAMES[language]))


@lru_cache(1 << 16)
def _first_name(number: int, seed: int) -> str:
    return _person(_draws(number, seed)).first_name


def _passenger(number: int, seed: int) -> Passenger:
    draws = _draws(number, seed)
    person = _person(draws)
    profile = Profile(
        email=_email(draws, person, number) if draws.chance(93) else "",
        phone=_phone(number) if draws.chance(78) else "",
        locale=person.locale,
        timezone=draws.pick(person.zones),
        devices=_devices(draws, number, seed),
        preferences=_preferences(draws),
        quiet_hours=QuietHours(*draws.pick(_QUIET)) if draws.chance(25) else None,
        version=1,
    )
    return Passenger(user_id(number), person.first_name, person.last_name, profile)


def _email(draws: Draws, person: _Person, number: int) -> str:
    name = f"{person.first_name}.{person.last_name}".translate(_ASCII).lower()
    return f"{name}.{number}@{draws.pick(_MAIL_DOMAINS)}"


def _phone(number: int) -> str:
    """Number a passenger within fiction: unique up to ten thousand, then they share."""
    area = US_AREA_CODES[number // _FICTION % len(US_AREA_CODES)]
    return f"+1{area}55501{number % _FICTION:02d}"


def _devices(draws: Draws, number: int, seed: int) -> tuple[Device, ...]:
    count = 0 if draws.chance(20) else 2 if draws.chance(18) else 1
    return tuple([_device(draws, f"{seed}/{number}/{which}") for which in range(count)])


def _device(draws: Draws, name: str) -> Device:
    """Make up an app installation; the token has the length and letters of FCM's."""
    letters = urlsafe_b64encode(shake_256(name.encode()).digest(_TOKEN_BYTES)).decode()
    return Device(
        platform="ios" if draws.chance(45) else "android",
        token=f"{letters[:22]}:APA91b{letters[22:]}",
        app="skylark",
        registered_at=_NEVER_BEFORE + timedelta(days=draws.below(_DAYS_BEFORE)),
    )


def _preferences(draws: Draws) -> Preferences:
    """Draw what somebody turned off: everything, a channel, advertising, or the small news of a flight."""
    if draws.chance(2):
        return Preferences(enabled=False)
    channels = {channel: False for channel, percent in (("sms", 7), ("email", 5)) if draws.chance(percent)}
    return Preferences(
        channels=channels,
        categories=_categories(draws),
        notifications={"flight_departed": False} if draws.chance(12) else {},
    )


def _categories(draws: Draws) -> dict[str, bool | dict[str, bool]]:
    categories: dict[str, bool | dict[str, bool]] = {}
    if draws.chance(30):
        categories["offers"] = False if draws.chance(70) else {"email": False}
    if draws.chance(4):
        categories["flight_updates"] = False
    return categories
