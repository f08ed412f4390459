"""Says which counters counted a message, as one number: its slots come back to those.

A bit stands for a scope and a kind of window. The message has the names that complete it: those of its
notification, category and channel.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tocsin.catalog.caps import PERIODS_MS, Counter

# Messages and records keep these bits: append only.
_SCOPES: Final = ("notification", "category", "marketing", "user", "channel")
_WINDOWS: Final = ("", *PERIODS_MS)
_OF_CHANNEL: Final = _SCOPES.index("channel")


def bits_of(counters: Iterable[Counter]) -> int:
    """Number counters of one notification and channel.

    >>> bits_of([Counter("user", 1, 60_000), Counter("day:channel:sms", 1, 0, "day")])
    134479872
    """
    bits = 0
    for counter in counters:
        scope = counter.name.removeprefix(f"{counter.period}:").partition(":")[0]
        bits |= 1 << _place(_SCOPES.index(scope), _WINDOWS.index(counter.period))
    return bits


def own_names(bits: int, notification: str, category: str) -> list[str]:
    """Name the counters that counted the notification."""
    abouts = (f":{notification}", f":{category}", "", "")
    return [name for scope, about in enumerate(abouts) for name in _named(bits, scope, about)]


def channel_names(bits: int, channel: str) -> list[str]:
    """Name the counters that counted its channel.

    >>> channel_names(134479872, "sms")
    ['day:channel:sms']
    """
    return list(_named(bits, _OF_CHANNEL, f":{channel}"))


def _place(scope: int, window: int) -> int:
    return scope * len(_WINDOWS) + window


def _named(bits: int, scope: int, about: str) -> Iterator[str]:
    for window, period in enumerate(_WINDOWS):
        if bits >> _place(scope, window) & 1:
            name = f"{_SCOPES[scope]}{about}"
            yield f"{period}:{name}" if period else name
