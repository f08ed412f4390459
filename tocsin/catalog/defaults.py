"""Default preferences: what a tenant's defaults switch off of one notification, and what outweighs that.

A default that is off gives way to a yes of the user at the same level or at a narrower one, and to a yes of
the defaults themselves at a narrower one. A category is one switch, also where it has a value a channel: a
yes to the category outweighs a default that is off for one of its channels. So is a notification.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Final

import msgspec

from tocsin.catalog.close_names import cure
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.spec import DefaultPreferences, TenantSpec
from tocsin.model.statuses import Reason
from tocsin.model.switches import category_key, channel_key, digest, notification_key


class DefaultOff(msgspec.Struct, frozen=True, gc=False):
    """A switch that is off by default. It refuses unless the user turned on one of `unless`, by digest."""

    reason: Reason
    unless: tuple[bytes, ...]


class _Level(Enum):
    """The levels of the switches that bear on one channel of a notification, narrow before wide."""

    NOTIFICATION_CHANNEL = Reason.NOTIFICATION_OFF, 1
    NOTIFICATION = Reason.NOTIFICATION_OFF, 2
    CATEGORY_CHANNEL = Reason.CATEGORY_OFF, 1
    CATEGORY = Reason.CATEGORY_OFF, 2
    CHANNEL = Reason.CHANNEL_OFF, 3


_NARROWER: Final[Mapping[_Level, frozenset[_Level]]] = {
    _Level.NOTIFICATION_CHANNEL: frozenset(),
    _Level.NOTIFICATION: frozenset({_Level.NOTIFICATION_CHANNEL}),
    _Level.CATEGORY_CHANNEL: frozenset({_Level.NOTIFICATION_CHANNEL}),
    _Level.CATEGORY: frozenset({_Level.CATEGORY_CHANNEL, _Level.NOTIFICATION, _Level.NOTIFICATION_CHANNEL}),
    _Level.CHANNEL: frozenset({_Level.CATEGORY_CHANNEL, _Level.NOTIFICATION_CHANNEL}),
}
_WHOLE: Final = {
    _Level.NOTIFICATION_CHANNEL: _Level.NOTIFICATION,
    _Level.CATEGORY_CHANNEL: _Level.CATEGORY,
}
"""The switch that a level is a part of."""


class NotificationDefaults:
    """The defaults of a tenant for one notification.

    Args:
        preferences: of the tenant.
        name: of the notification.
        category: of the notification.
    """

    def __init__(self, preferences: DefaultPreferences, name: str, category: str) -> None:
        self._preferences, self._name, self._category = preferences, name, category

    def of_channel(self, channel: str) -> tuple[DefaultOff, ...]:
        """List what is off of one channel, narrow before wide."""
        return tuple(self._off(level, [channel]) for level in _Level if self._is_off(level, channel))

    def of_all(self, channels: Iterable[str]) -> tuple[DefaultOff, ...]:
        """List what is off of the notification as a whole: on all its channels."""
        all_of = list(channels)
        wide = (_Level.NOTIFICATION, _Level.CATEGORY)
        return tuple(
            self._off(level, all_of) for level in wide if all(self._is_off(level, one) for one in all_of)
        )

    def _is_off(self, level: _Level, channel: str) -> bool:
        """Return whether a switch is off, and none of the defaults' own at a narrower level is on."""
        exceptions = (self._value(narrow, channel) for narrow in _NARROWER[level])
        return self._value(level, channel) is False and True not in exceptions

    def _off(self, level: _Level, channels: Iterable[str]) -> DefaultOff:
        levels = {level, _WHOLE.get(level, level), *_NARROWER[level]}
        keys = {self._key(one, channel) for one in levels for channel in channels}
        return DefaultOff(level.value[0], tuple(sorted(digest(key) for key in keys)))

    def _value(self, level: _Level, channel: str) -> bool | None:
        """Return what the defaults say at a level; None for nothing."""
        if level is _Level.CHANNEL:
            return {str(name): on for name, on in self._preferences.channels.items()}.get(channel)
        of_notification = level in (_Level.NOTIFICATION, _Level.NOTIFICATION_CHANNEL)
        groups, name = (
            (self._preferences.notifications, self._name)
            if of_notification
            else (self._preferences.categories, self._category)
        )
        switch = groups.get(name)
        if level in _WHOLE:
            return (
                {str(one): on for one, on in switch.items()}.get(channel)
                if isinstance(switch, dict)
                else None
            )
        return switch if isinstance(switch, bool) else None

    def _key(self, level: _Level, channel: str) -> str:
        if level is _Level.CHANNEL:
            return channel_key(channel)
        part = channel if level in _WHOLE else ""
        if level in (_Level.NOTIFICATION, _Level.NOTIFICATION_CHANNEL):
            return notification_key(self._name, part)
        return category_key(self._category, part)


def default_problems(
    document: Document, spec: TenantSpec, names: Collection[str] | None
) -> Iterator[Problem]:
    """Find defaults that switch nothing: their category or notification is not there.

    Args:
        document: the file of the tenant.
        spec: the tenant.
        names: of the notifications that it has; None where some could not be read.
    """
    chosen = spec.preferences
    for category in chosen.categories:
        if category not in spec.categories:
            other = cure(category, spec.categories, "add it under categories or remove this")
            text = f"no category `{category}`, {other}"
            yield document.problem(("preferences", "categories", category), text)
        elif spec.categories[category].required and _switches_off(chosen.categories[category]):
            text = f"category `{category}` is required, so nothing switches it off, remove this"
            yield document.problem(("preferences", "categories", category), text)
    for name in chosen.notifications:
        if names is not None and name not in names:
            other = cure(name, names, "correct the name or remove this")
            text = f"the tenant has no notification `{name}`, {other}"
            yield document.problem(("preferences", "notifications", name), text)


def _switches_off(switch: bool | Mapping[str, bool]) -> bool:
    return not all(switch.values()) if isinstance(switch, Mapping) else not switch
