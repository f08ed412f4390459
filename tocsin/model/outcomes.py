"""Writes what all outcomes about one message have in common: the gate's own, and those of delivery."""

from typing import Any

from tocsin.model.ids import target_id
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome


def outcome_of(message: Message, outcome_id: str, status: str, *, at_ms: int = 0, **own: Any) -> Outcome:
    """Write an outcome of a message.

    Args:
        message: the message.
        outcome_id: of the outcome.
        status: of the outcome.
        at_ms: its time.
        own: other fields, such as reason and attempt, which its writer knows.
    """
    return Outcome(
        outcome_id=outcome_id,
        status=status,
        tenant=message.tenant,
        user=message.user,
        notification_id=message.notification_id,
        message_id=message.message_id,
        event_id=message.event_id,
        event_source=message.event_source,
        event_type=message.event_type,
        event_time_ms=message.event_time_ms,
        origin=str(message.origin),
        notification=message.notification,
        category=message.category,
        channel=message.channel,
        target=target_id(message.target.address, message.channel),
        platform=message.target.platform,
        priority=message.priority,
        variant=message.variant,
        generation=message.generation,
        at_ms=at_ms,
        received_ms=message.received_ms,
        replay=message.replay,
        replay_of=message.replay_of,
        **own,
    )
