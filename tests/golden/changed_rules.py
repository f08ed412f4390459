"""Users of the recorded runs whom a rule decides otherwise today, one cause after another.

`tests/decision/test_choices.py` says what is right, and docs/rules.md why.
"""

from collections.abc import Sequence

from tests.golden.wire import Published

# A critical text message was sent before, so that a limit of text messages is reached earlier.
_TEXTED = frozenset(
    [b"free/user-38", b"gone/user-44"]
    + [b"lab/user-%02d" % number for number in (5, 6, 15, 16, 17, 22, 25, 37, 46, 50, 61, 65, 67, 71)]
    + [b"lab/user-%02d" % number for number in (75, 76, 80, 81, 82)]
)
# The same; and what then went out on no channel is not counted by the limits of its notification.
_TEXTED_AND_MORE = frozenset({b"lab/user-35", b"lab/user-77"})
# The event asks for a time before the delay of its notification is over.
_DELAYED = frozenset({b"gone/user-29", b"lab/user-36", b"lab/user-45", b"lab/user-72", b"lab/user-80"})
# No profile was known when an event came that no notification asks for.
_UNASKED = frozenset({b"gone/user-09", b"lab/user-11", b"lab/user-22", b"lab/user-55"})
# The quiet hours end at the very millisecond of the expiry.
_AT_THE_END = frozenset({b"default/passenger-000063"})


def texts_counted(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out texts to whoever had a critical one: limits of a channel did not count critical messages."""
    return [
        one
        for one in published
        if one.key not in _TEXTED_AND_MORE and not (one.key in _TEXTED and _is_text(one))
    ]


def _is_text(one: Published) -> bool:
    return one.topic.startswith("messages.sms.") or b'"channel":"sms"' in (one.value or b"")


def delays(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out those to whom an event's `tocsinsendat` took the place of the delay. Now both hold."""
    return [one for one in published if one.key not in _DELAYED]


def unasked(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out unknown users for whose profile an event waited that no notification asks for."""
    return [one for one in published if one.key not in _UNASKED]


def at_the_end(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out one whose notification was refused at the millisecond of its expiry."""
    return [one for one in published if one.key not in _AT_THE_END]
