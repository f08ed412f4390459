"""Profiles: how a user can be reached and what the user allows (`tocsin.profiles`, compacted, JSON)."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

# Without an offset it would be read in the zone of whichever machine reads it.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """An app installation (ios, android: `token`) or a browser (web: `subscription`)."""

    platform: Literal["ios", "android", "web"]
    token: str = ""
    subscription: dict[str, str] | None = None
    app: str = ""
    registered_at: Moment | None = None


class Preferences(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the user allows, from general to special.

    A category or notification is a switch, or a switch a channel.
    """

    enabled: bool = True
    channels: dict[str, bool] = {}
    categories: dict[str, bool | dict[str, bool]] = {}
    notifications: dict[str, bool | dict[str, bool]] = {}
    snoozed_until: Moment | None = None


class Suppressed(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address or device of a profile to which nothing is sent: its channel, why, and since when."""

    address: str
    channel: str = ""
    reason: str = ""
    at: Moment | None = None


class QuietHours(msgspec.Struct, frozen=True):
    """A daily span in the user's time zone, `HH:MM`; an end before the start passes midnight."""

    start: str
    end: str


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One user's contact points and preferences. `version` grows with every change that producers write.

    `suppressed` lists addresses and devices that are blocked; Tocsin adds to it where a tenant asks for that.
    `attributes` are free fields that conditions and segments of the catalog may read: 4,096 bytes of JSON at
    most.
    `contacts` has the user's address on channels that have no field of their own, by the channel's name:
    `{"telegram": "123456789"}`. On `whatsapp` and `voice` it takes the place of `phone`.
    """

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
