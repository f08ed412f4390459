"""Words about events, notifications and messages: how a decision reads in the notification log."""

from tocsin.decision.record import HoldRef
from tocsin.model.event import Event
from tocsin.model.ids import outcome_id
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome, Scalar
from tocsin.model.statuses import Reason, Status

Detail = dict[str, Scalar]


def event_word(
    event: Event, status: Status, reason: Reason, now_ms: int, version: str, detail: Detail | None = None
) -> Outcome:
    """Say something about an event as a whole; it is keyed by the event's origin."""
    place = event.origin
    origin = f"{place.topic}/{place.partition}/{place.offset}"
    return Outcome(
        outcome_id=outcome_id(origin, status.value),
        status=status.value,
        tenant=event.tenant,
        user=event.user,
        event_id=event.id,
        event_source=event.source,
        event_type=event.type,
        event_time_ms=event.time_ms,
        origin=origin,
        reason=reason.value,
        detail=detail or {},
        catalog_version=version,
        at_ms=now_ms,
        received_ms=event.received_ms,
    )


def message_word(
    message: Message,
    target: str,
    status: Status,
    reason: Reason,
    now_ms: int,
    version: str,
    detail: Detail | None = None,
) -> Outcome:
    """Say something about a message that was handed back; `target` is its target id."""
    return Outcome(
        outcome_id=outcome_id(message.message_id, status.value, message.attempt),
        status=status.value,
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
        target=target,
        platform=message.target.platform,
        reason=reason.value,
        detail=detail or {},
        priority=message.priority,
        catalog_version=version,
        attempt=message.attempt,
        generation=message.generation,
        at_ms=now_ms,
        received_ms=message.received_ms,
    )


def held_word(
    ref: HoldRef, tenant: str, user: str, status: Status, reason: Reason, now_ms: int, version: str
) -> Outcome:
    """Say the last word about something held that is not decided any more; its payload is not needed."""
    subject = ref.message_id or ref.notification_id
    return Outcome(
        outcome_id=outcome_id(subject, status.value, ref.attempt),
        status=status.value,
        tenant=tenant,
        user=user,
        notification_id=ref.notification_id,
        message_id=ref.message_id,
        event_id=ref.event_id,
        origin=ref.origin,
        notification=ref.notification,
        category=ref.category,
        channel=ref.channel,
        target=ref.target,
        reason=reason.value,
        catalog_version=version,
        attempt=ref.attempt,
        at_ms=now_ms,
    )
