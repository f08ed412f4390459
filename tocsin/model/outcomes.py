"""Writes what all outcomes about one message have in common: the gate's own, and those of delivery."""

from tocsin.model.ids import target_id
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome


def outcome_of(message: Message, outcome_id: str, status: str) -> Outcome:
    """Write an outcome of a message without reason, time and attempt: those are its writer's."""
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
        at_ms=0,
        received_ms=message.received_ms,
        replay=message.replay,
        replay_of=message.replay_of,
    )
