"""One evaluation: all that a rule may read about one notification to one recipient."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.decision.recipient import Recipient
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.decision.verdict import Verdict


class Stage(StrEnum):
    """The cause of an evaluation."""

    EVENT = "event"
    """An event came."""
    TIMER = "timer"
    """A notification was held, and its time has come."""
    DIGEST = "digest"
    """A digest is due, or was held and its time has come."""
    PART = "part"
    """One channel of a notification that was held apart from the others, and its time has come."""
    RETURNED = "returned"
    """Delivery returned a message, or the wait for its next attempt is over."""


TIMED: Final = 1
"""It is too late, or a time to wait for or a snooze lies ahead."""
QUIET: Final = 2
"""The recipient has quiet hours."""
BLOCKED: Final = 4
"""A contact point of the recipient is blocked, or was."""
ALL_FACTS: Final = TIMED | QUIET | BLOCKED


class Evaluation(msgspec.Struct, gc=False):
    """What is decided, about whom, on what state, and when. Rules read it and change nothing.

    Attributes:
        subject: the notification of an event, or one returned message.
        recipient: contact points and preferences as they are now.
        notification: the notification in the catalog of now.
        state: the user's record. The counters and holds in it belong to inline recipients, too.
        now_ms: the time of the decision.
        stage: the cause of the evaluation.
        expires_ms: not sent after this time; 0 for never.
        waited_for: the counter of the limit that the notification was held for until now; empty for none.
        not_before_ms: the time that the event, the catalog or the retry asks to wait for; 0 for none.
        channel: the channel that is decided; None for the notification as a whole.
        contact_point: the address or device that is decided; None if the recipient has none on the channel.
        rule: the name of the rule that objected last.
        freed: counters that have room again, because the decision has ended something that was counted.
        facts: which of `TIMED`, `QUIET` and `BLOCKED` hold. Rules that can object only where one of them
            holds are not asked where none does.
    """

    subject: EventSubject | MessageSubject
    recipient: Recipient
    notification: CompiledNotification
    state: UserRecord
    now_ms: int
    stage: Stage
    expires_ms: int = 0
    not_before_ms: int = 0
    channel: CompiledChannel | None = None
    contact_point: ContactPoint | None = None
    waited_for: str = ""
    rule: str = ""
    facts: int = ALL_FACTS
    freed: tuple[str, ...] = ()


Rule: TypeAlias = Callable[[Evaluation], Verdict]
