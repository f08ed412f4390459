"""Preferences: the choices of a user merged with the tenant's defaults, and what they refuse.

Every switch that is off refuses. A record keeps the keys of these switches: `*` everything, `channel:<c>`,
`notification:<n>`, `category:<k>`, `category:<k>:<c>` one channel of a category. Where the user has not
chosen, the tenant's defaults hold; they are merged in when the profile comes.
"""

from collections.abc import Collection

from tocsin.catalog.spec import DefaultPreferences
from tocsin.model.profile import Preferences
from tocsin.model.statuses import CHANNELS, Reason
from tocsin.model.switches import ALL_OFF, category_key, channel_key, notification_key

Switch = bool | dict[str, bool]


def switched_off(chosen: Preferences, defaults: DefaultPreferences) -> tuple[str, ...]:
    """Return the keys of all that is off, sorted: the user's choice where there is one, else the default."""
    channels = {str(name): on for name, on in defaults.channels.items()} | chosen.channels
    notifications = {**defaults.notifications, **chosen.notifications}
    off = [channel_key(name) for name, on in channels.items() if not on]
    off += [notification_key(name) for name, on in notifications.items() if not on]
    if not chosen.enabled:
        off.append(ALL_OFF)
    for name in chosen.categories.keys() | defaults.categories.keys():
        off += _category_off(name, chosen.categories.get(name, {}), _default(defaults, name))
    return tuple(sorted(off))


def _default(defaults: DefaultPreferences, category: str) -> Switch:
    found = defaults.categories.get(category, True)
    return found if isinstance(found, bool) else {str(name): on for name, on in found.items()}


def _category_off(category: str, chosen: Switch, default: Switch) -> list[str]:
    if isinstance(chosen, bool):
        return [] if chosen else [category_key(category)]
    on = {name: chosen.get(name, _on(default, name)) for name in CHANNELS}
    if not any(on.values()):
        return [category_key(category)]
    return [category_key(category, name) for name in CHANNELS if not on[name]]


def _on(switch: Switch, channel: str) -> bool:
    return switch if isinstance(switch, bool) else switch.get(channel, True)


def refusal(off: Collection[str], notification: str, category: str) -> Reason:
    """Return why a notification may not be sent at all; NONE if it may. Takes the keys of both."""
    if ALL_OFF in off:
        return Reason.OPTED_OUT
    if notification in off:
        return Reason.NOTIFICATION_OFF
    return Reason.CATEGORY_OFF if category in off else Reason.NONE


def channel_refusal(off: Collection[str], channel: str, category_channel: str) -> Reason:
    """Return why one channel may not be used; NONE if it may. Takes the keys of both."""
    if category_channel in off:
        return Reason.CATEGORY_OFF
    return Reason.CHANNEL_OFF if channel in off else Reason.NONE
