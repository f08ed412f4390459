"""What all subjects have in common."""

from typing import Final, Protocol

from msgspec.structs import replace

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision import dedup
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import ContactPoint
from tocsin.decision.verdict import Detail
from tocsin.model.event import Replay
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason, Status

OF_EVENTS: Final = (TimerKind.NOTIFICATION.value, TimerKind.PART.value)
"""Kinds of timers that hold notifications of events. They queue behind each other."""
OF_MESSAGES: Final = (TimerKind.MESSAGE.value,)
"""The kind of timers that hold returned messages. They queue behind each other."""


class Subject(Protocol):
    """Anything that an outcome is about."""

    def outcome(
        self,
        status: Status,
        reason: Reason,
        detail: Detail | None = None,
        channel: CompiledChannel | None = None,
        point: ContactPoint | None = None,
        rule: str = "",
    ) -> Outcome:
        """Write an outcome about the whole, one channel, or one contact point of it.

        Args:
            status: of the outcome.
            reason: of the outcome.
            detail: the numbers that it rests on.
            channel: the channel it is about; None for the whole.
            point: the contact point it is about; None for none.
            rule: the name of the rule that objected; empty for none.
        """
        ...


def queue_of(timer_id: str) -> tuple[str, ...]:
    """Return the kinds of timers that something held queues behind."""
    return OF_MESSAGES if timer_id.startswith(OF_MESSAGES) else OF_EVENTS


def cancel_id(cancel_key: str) -> bytes:
    """Hash a cancel key; notifications of several names may share it. Empty for none."""
    return dedup.key_of("cancel key", cancel_key) if cancel_key else b""


def replayed(outcome: Outcome, replay: Replay) -> Outcome:
    """Mark an outcome as that of a replay."""
    return replace(
        outcome, replay=replay.id, replay_of=str(replay.origin), generation=1 if replay.force else 0
    )
