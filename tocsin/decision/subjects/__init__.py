"""Subjects: the things that outcomes are about, and how each outcome, message and timer of them is written.

| subject | what it is |
|---|---|
| `WholeEvent` | an event as a whole, where no notification is decided |
| `EventSubject` | one notification that an event means to one user, or one channel of it |
| `MessageSubject` | one message that delivery returned |
| `HeldSubject` | something held that ends without being decided again |

Outcomes and messages copy a struct that has all that is common, with a few fields changed: with more than 14
fields at once CPython 3.11 takes a call path that costs five times as much.
"""

from tocsin.decision.subjects.event import EventSubject
from tocsin.decision.subjects.held import HeldSubject
from tocsin.decision.subjects.message import MessageSubject
from tocsin.decision.subjects.subject import Subject, cancel_id, queue_of
from tocsin.decision.subjects.whole import WholeEvent

__all__ = [
    "EventSubject",
    "HeldSubject",
    "MessageSubject",
    "Subject",
    "WholeEvent",
    "cancel_id",
    "queue_of",
]
