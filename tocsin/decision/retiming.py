"""Moves what is held when a profile moves the time until which it is held: a snooze, quiet hours, the zone.

It is decided again when it is due in any case. So a move that comes too late, or is not made, sends nothing
that should wait; it only sends later than it could, or holds once more.
"""

from typing import Final

from msgspec.structs import replace

from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.digests import CompiledDigest
from tocsin.decision.asked_time import goes_by_own_clock
from tocsin.decision.clock_times import moment_of
from tocsin.decision.context import DecisionContext
from tocsin.decision.daily_span import DAY_MS, offset_ms
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
            if not due_ms <= old_ms < ends_ms + QUEUE_MS and not 0 < ref.expires_ms < due_ms:
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
    """Let what goes by the user's clock be due when the clock of the new zone shows the same time.

    Args:
        context: the catalog in force.
        decision: takes the moved timers.
        record: the user's, with the new profile.
        tenant: of the user.
        before: the user's zone until now; empty for the tenant's.
        now_ms: the time of the decision.
    """
    defaults = context.defaults_for(tenant)
    zones = resolve_zone(before) or defaults.timezone, for_known(record, defaults).timezone
    for timer_id, ref in sorted(record.holds.items(), key=_due):
        notification = context.catalog.notification(tenant, ref.notification)
        if notification is not None and ref.digest is not None:
            _follow_digest(decision, record, timer_id, notification.digest, zones, now_ms)
        elif ref.by_clock or (ref.reason == Reason.SCHEDULED and _goes_by_clock(notification)):
            _follow_schedule(decision, record, timer_id, zones, now_ms)


def _follow_schedule(
    decision: Decision, record: UserRecord, timer_id: str, zones: tuple[str, str], now_ms: int
) -> None:
    """Move what is scheduled earlier only: what is due too early is decided again and held on."""
    (old, new), old_ms = zones, record.holds[timer_id].due_ms
    shown_ms = old_ms - old_ms % QUEUE_MS
    wanted_ms = max(now_ms, first_moment(new, shown_ms + offset_ms(old, shown_ms)))
    due_ms = queued_behind(record.holds, wanted_ms, queue_of(timer_id), {timer_id})
    if due_ms < old_ms:
        _move(decision, record, timer_id, due_ms)


def _follow_digest(
    decision: Decision,
    record: UserRecord,
    timer_id: str,
    terms: CompiledDigest | None,
    zones: tuple[str, str],
    now_ms: int,
) -> None:
    """Move a digest to the same day and time of the new clock, at the latest to where an item expires.

    It moves at once where the new clock has passed the time. One that has another due time stays.
    """
    (old, new), ref = zones, record.holds[timer_id]
    old_ms = ref.due_ms
    day = (old_ms + offset_ms(old, old_ms)) // DAY_MS
    if terms is None or terms.at_min < 0 or moment_of(old, day, terms.at_min) != old_ms or ref.digest is None:
        return
    due_ms = max(now_ms, moment_of(new, day, terms.at_min))
    due_ms = min(due_ms, ref.expires_ms) if ref.expires_ms else due_ms
    if due_ms != old_ms:
        _move(decision, record, timer_id, due_ms)
        moved, digest = record.holds[timer_id], replace(ref.digest, latest_ms=due_ms)
        record.holds[timer_id] = replace(moved, digest=digest)


def _due(held: tuple[str, HoldRef]) -> tuple[int, str]:
    timer_id, ref = held
    return ref.due_ms, timer_id


def _goes_by_clock(notification: CompiledNotification | None) -> bool:
    """Tell it from the catalog, for what an older release held: of an expression it does not say."""
    at = notification.at if notification is not None else None
    return at is not None and at.expression is None and goes_by_own_clock(at, None)


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
