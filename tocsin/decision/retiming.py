"""Moves what is held when a profile moves the time until which it is held: a snooze, quiet hours, the zone.

It is decided again when it is due in any case. So a move that comes too late, or is not made, sends nothing
that should wait; it only sends later than it could, or holds once more.
"""

from typing import Final

from msgspec.structs import replace

from tocsin.catalog.compile import CompiledNotification
from tocsin.decision.context import DecisionContext
from tocsin.decision.daily_span import offset_ms
from tocsin.decision.effects import Decision, move_timer
from tocsin.decision.local_time import first_moment
from tocsin.decision.open_hours import ignores_snooze, opens_at
from tocsin.decision.recipient import Recipient, for_known
from tocsin.decision.subjects import queue_of
from tocsin.decision.user_state import QUEUE_MS, HoldRef, UserRecord, queued_behind
from tocsin.model.statuses import Reason
from tocsin.model.zones import resolve as resolve_zone

_HOURS: Final = frozenset({Reason.QUIET_HOURS.value, Reason.SEND_WINDOW.value, Reason.SNOOZED.value})


def follow_hours(
    context: DecisionContext, decision: Decision, record: UserRecord, tenant: str, now_ms: int
) -> None:
    """Let what quiet hours, a window or a snooze hold be due when these end by the new profile, in its order.

    What would expire by then keeps its time: it expires when it is due.

    Args:
        context: the catalog in force.
        decision: takes the moved timers.
        record: the user's, with the new profile.
        tenant: of the user.
        now_ms: the time of the decision.
    """
    recipient, holds = for_known(record, context.defaults_for(tenant)), record.holds
    held = sorted((ref.due_ms, timer_id) for timer_id, ref in holds.items() if ref.reason in _HOURS)
    left = {timer_id for _, timer_id in held}
    for old_ms, timer_id in held:
        ref = holds[timer_id]
        notification = context.catalog.notification(tenant, ref.notification)
        if notification is not None:
            ends_ms = _ends_at(recipient, notification, ref, now_ms)
            due_ms = queued_behind(holds, ends_ms, queue_of(timer_id), left)
            if not ends_ms <= old_ms < ends_ms + QUEUE_MS and not 0 < ref.expires_ms < due_ms:
                _move(decision, record, timer_id, due_ms)
        left.discard(timer_id)


def follow_clock(
    context: DecisionContext,
    decision: Decision,
    record: UserRecord,
    tenant: str,
    before: str,
    now_ms: int,
) -> None:
    """Let what is scheduled by the user's clock be due when the clock of the new zone shows its time.

    It moves earlier only: what is due too early is decided again and held on. A time that an expression
    finds stays, as it may be one for everybody.

    Args:
        context: the catalog in force.
        decision: takes the moved timers.
        record: the user's, with the new profile.
        tenant: of the user.
        before: the user's zone until now; empty for the tenant's.
        now_ms: the time of the decision.
    """
    defaults, holds = context.defaults_for(tenant), record.holds
    old, new = resolve_zone(before) or defaults.timezone, for_known(record, defaults).timezone
    held = [(ref.due_ms, timer_id) for timer_id, ref in holds.items() if ref.reason == Reason.SCHEDULED]
    for old_ms, timer_id in sorted(held):
        if _goes_by_clock(context.catalog.notification(tenant, holds[timer_id].notification)):
            shown_ms = old_ms - old_ms % QUEUE_MS
            wanted_ms = max(now_ms, first_moment(new, shown_ms + offset_ms(old, shown_ms)))
            due_ms = queued_behind(holds, wanted_ms, queue_of(timer_id), {timer_id})
            if due_ms < old_ms:
                _move(decision, record, timer_id, due_ms)


def _goes_by_clock(notification: CompiledNotification | None) -> bool:
    at = notification.at if notification is not None else None
    if at is None or at.zone or at.expression is not None:
        return False
    return at.moment is None or at.moment.local


def _ends_at(recipient: Recipient, notification: CompiledNotification, ref: HoldRef, now_ms: int) -> int:
    """Return when all is over that holds a notification or a channel of it."""
    channel = notification.channel(ref.channel)
    channels = notification.channels if channel is None else (channel,)
    by_snooze = ref.reason == Reason.SNOOZED or not ignores_snooze(notification)
    wakes_ms = recipient.snoozed_until_ms if by_snooze else 0
    return opens_at(recipient, notification, channels, max(now_ms, wakes_ms)).at_ms


def _move(decision: Decision, record: UserRecord, timer_id: str, due_ms: int) -> None:
    ref = record.holds[timer_id]
    move_timer(decision, timer_id, ref.due_ms, due_ms)
    record.holds[timer_id] = replace(ref, due_ms=due_ms)
