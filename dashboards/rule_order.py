"""The order of the gate's rules, as a story tells it.

`tocsin.decision.rules` decides by this order. Its modules take most of a second to load, so a story reads
this short form. A test compares the two.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class Cause(StrEnum):
    """Why the rules were asked; the values are those of `tocsin.decision.evaluation.Stage`."""

    EVENT = "event"
    TIMER = "timer"
    DIGEST = "digest"
    PART = "part"
    RETURNED = "returned"


_E, _T, _D, _P, _R = Cause
_ALL: Final = frozenset(Cause)
_NEW: Final = frozenset({_E, _T})
_WHOLE: Final = _NEW | {_D}


class Entry(NamedTuple):
    """One rule: its name, what it is asked about (notification, channel or target), and when."""

    rule: str
    level: str
    causes: frozenset[Cause] = _ALL


ORDER: Final[tuple[Entry, ...]] = (
    Entry("active_tenant", "notification"),
    Entry("duplicate_key", "notification", frozenset({_E})),
    Entry("answered", "notification", frozenset({_P})),
    Entry("cancelled", "notification", frozenset({_R})),
    Entry("seen", "notification", frozenset({_P, _R})),
    Entry("expiry", "notification"),
    Entry("schedule", "notification", _NEW),
    Entry("notification_preferences", "notification"),
    Entry("digest", "notification", _NEW),
    Entry("notification_limits", "notification", _WHOLE),
    Entry("channel_preferences", "channel"),
    Entry("channel_limits", "channel", _WHOLE | {_P}),
    Entry("usable", "target"),
    Entry("backoff", "notification", frozenset({_R})),
    Entry("channel_window", "channel"),
    Entry("snooze", "notification"),
    Entry("quiet_hours", "notification"),
    Entry("holdout", "notification", _WHOLE),
)
_LEVELS: Final = ("notification", "channel", "target")


def rules_of(cause: Cause) -> list[str]:
    """Name the rules that are asked for a cause, in the order in which they are asked.

    >>> rules_of(Cause.EVENT)[:3]
    ['active_tenant', 'duplicate_key', 'expiry']
    """
    able = [entry for entry in ORDER if cause in entry.causes]
    if cause is Cause.RETURNED:
        return [entry.rule for entry in able]
    return [entry.rule for level in _LEVELS for entry in able if entry.level == level]


def rules_before(rule: str, cause: Cause) -> list[str]:
    """Name the rules that were asked before one that objected; none if it is no rule of the order.

    >>> rules_before("expiry", Cause.TIMER)
    ['active_tenant']
    """
    order = rules_of(cause)
    return order[: order.index(rule)] if rule in order else []
