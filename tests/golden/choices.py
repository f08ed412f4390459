"""Differences of preferences: whose no gives the reason, late profiles, what outcomes tell of defaults."""

import re
from collections.abc import Sequence

from tests.golden.wire import Published

_OVERTAKEN = frozenset({b"lab/careless"})
_BY_DEFAULT = b',"detail":{"by":"default"}'
_MUTED = re.compile(rb'"reason":"(?:notification|category)_off"')


def overtaken_profiles(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out whose profile came with a lower version than one before.

    It replaced the newer one. Now it is refused: `tests/decision/test_profile_versions.py`.
    """
    return [one for one in published if one.key not in _OVERTAKEN]


def without_defaults(published: Sequence[Published]) -> Sequence[Published]:
    """Take out of outcomes that a switch is off by default: they did not tell."""
    return [
        one._replace(value=one.value and one.value.replace(_BY_DEFAULT, b""))
        if one.topic == "outcomes"
        else one
        for one in published
    ]


def whose_no(published: Sequence[Published]) -> Sequence[Published]:
    """Leave open why `muted` was refused: it is off by default, and two users switched its category off, too.

    The default gave the reason, for the notification comes before the category. Now a no of the user does.
    """
    return [
        one._replace(value=_MUTED.sub(b'"reason":"off"', one.value))
        if one.topic == "outcomes" and one.value and b'"notification":"muted"' in one.value
        else one
        for one in published
    ]
