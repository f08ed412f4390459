"""What is decided or written otherwise today about times: snoozes, hours, and what is held and replaced."""

import re
from collections.abc import Sequence

import msgspec

from tests.golden.wire import Published

# Whoever had snoozed when an event came.
_SNOOZED = frozenset(
    [b"default/passenger-%06d" % number for number in (42, 54, 66, 78, 102, 114, 126)]
    + [b"gone/user-%02d" % number for number in (4, 29, 54)]
    + [b"lab/user-%02d" % number for number in (6, 15, 27, 40, 45, 57, 65, 75, 82)]
)
# A newer one with the same collapse key came while one was held.
_COLLAPSED = frozenset(
    [b"default/passenger-%06d" % number for number in (0, 3, 4, 21, 39, 63, 77, 103, 119, 121, 125, 129)]
    + [b"free/user-%02d" % number for number in (48, 73, 83)]
    + [b"gone/user-%02d" % number for number in (24, 64, 79)]
    + [b"lab/user-%02d" % number for number in (12, 20, 21, 26, 35, 60, 80)]
)
# Their send window opened within their quiet hours, or these ended before it: each was told as a hold.
_HELD_TWICE = frozenset([b"free/user-03"] + [b"lab/user-%02d" % number for number in (30, 42, 46, 56, 66)])
_NUMBERS = ("window_start", "window_end", "zone", "expires_ms", "until_ms")
_NUMBERED = re.compile(rb'"detail":\{[^}]*"(?:window_start|expires_ms)":')


def snoozes(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out whoever had snoozed: what came then was suppressed, and now it is held until the end."""
    return [one for one in published if one.key not in _SNOOZED]


def collapsed(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out whoever had one held when a newer one with its collapse key came.

    Both were sent. Now the older one is merged into the newer: `tests/decision/test_replacing.py`.
    """
    return [one for one in published if one.key not in _COLLAPSED]


def held_once(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out whoever had something held twice in a row by hours that are waited for in one today."""
    return [one for one in published if one.key not in _HELD_TWICE]


def without_hours(published: Sequence[Published]) -> Sequence[Published]:
    """Take hours and expiry out of the details of outcomes, which they were not in.

    What a send window holds was called `quiet_hours`, too.
    """
    return [_without_hours(one) if one.topic == "outcomes" else one for one in published]


def _without_hours(one: Published) -> Published:
    value = (one.value or b"").replace(b':"send_window"', b':"quiet_hours"')
    if not _NUMBERED.search(value):
        return one._replace(value=value)
    outcome = msgspec.json.decode(value)
    detail = {name: number for name, number in outcome.pop("detail").items() if name not in _NUMBERS}
    return one._replace(value=msgspec.json.encode(outcome | ({"detail": detail} if detail else {})))
