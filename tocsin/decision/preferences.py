"""Preferences: what a user's choices refuse, and what the tenant's defaults refuse where there is no choice.

A no of the user refuses, at whatever level it is. A record keeps the keys of these switches: `*` everything,
`channel:<c>`, `notification:<n>`, `category:<k>`, and `notification:<n>:<c>` or `category:<k>:<c>` for one
channel. A no of the defaults refuses unless the user has said yes as `tocsin.catalog.defaults` tells. The
defaults are those of the catalog in force, so a record does not hold them. It holds digests of what the user
turned on.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from tocsin.catalog.defaults import DefaultOff
from tocsin.model.profile import Preferences
from tocsin.model.statuses import FIRST_CHANNELS, Reason
from tocsin.model.switches import ALL_OFF, category_key, channel_key, holds, notification_key, packed

Switch = bool | Mapping[str, bool]


def switched_off(chosen: Preferences) -> tuple[str, ...]:
    """Return the keys of all that a user has turned off, sorted."""
    keys = [key for key, on in _switches(chosen) if not on]
    return tuple(sorted(keys if chosen.enabled else [*keys, ALL_OFF]))


def switched_on(chosen: Preferences) -> bytes:
    """Return the digests of all that a user has turned on."""
    return packed(key for key, on in _switches(chosen) if on)


def _switches(chosen: Preferences) -> Iterator[tuple[str, bool]]:
    yield from ((channel_key(name), on) for name, on in chosen.channels.items())
    for name, switch in chosen.categories.items():
        yield from _spread(switch, category_key, name)
    for name, switch in chosen.notifications.items():
        yield from _spread(switch, notification_key, name)


def _spread(switch: Switch, key: Callable[[str, str], str], name: str) -> Iterator[tuple[str, bool]]:
    """Yield a switch, or its values by channel; off on all the first channels is off as a whole."""
    if isinstance(switch, bool):
        yield key(name, ""), switch
    elif all(switch.get(channel) is False for channel in FIRST_CHANNELS) and not any(switch.values()):
        yield key(name, ""), False
    else:
        yield from ((key(name, channel), on) for channel, on in switch.items())


def refusal(off: Collection[str], notification: str, category: str) -> Reason:
    """Return why a notification may not be sent at all; NONE if it may. Takes the keys of both."""
    if ALL_OFF in off:
        return Reason.OPTED_OUT
    if notification in off:
        return Reason.NOTIFICATION_OFF
    return Reason.CATEGORY_OFF if category in off else Reason.NONE


def channel_refusal(off: Collection[str], channel: str, category: str, notification: str) -> Reason:
    """Return why one channel may not be used; NONE if it may. Takes the keys of all three on the channel."""
    if notification in off:
        return Reason.NOTIFICATION_OFF
    if category in off:
        return Reason.CATEGORY_OFF
    return Reason.CHANNEL_OFF if channel in off else Reason.NONE


def default_refusal(defaults: Sequence[DefaultOff], chosen: bytes) -> Reason:
    """Return why the defaults refuse, given the digests of what the user turned on; NONE if they do not."""
    for default in defaults:
        if not any(holds(chosen, key) for key in default.unless):
            return default.reason
    return Reason.NONE
