"""Messages that came back: what failed for now or was decided on an older profile is decided again.

Nothing is counted a second time and no duplicate is looked for: the notification was admitted. But the
recipient's wishes, blocks and quiet hours are those of now, and hold once more when the wait is over.
"""

from typing import Final, NamedTuple

from msgspec.structs import replace

from tocsin.catalog.compile import Plan
from tocsin.decision import dedup, preferences, route
from tocsin.decision.decide import is_blocked, quiet_until
from tocsin.decision.policy import GatePolicy
from tocsin.decision.record import HoldRef, Point, UserRecord, behind
from tocsin.decision.step import HeldRetry, Hold, Step, encode_held
from tocsin.decision.words import Detail, message_word
from tocsin.model import switches
from tocsin.model.ids import outcome_id, target_id
from tocsin.model.message import Message, Retry
from tocsin.model.statuses import Reason, Status

RETRY_TIMER: Final = "m"


class HandBack(NamedTuple):
    """A message that came back, and what it is decided on. `plan` is None if the catalog dropped it."""

    step: Step
    record: UserRecord
    held: HeldRetry
    plan: Plan | None
    now_ms: int
    version: str
    policy: GatePolicy


def decide_again(case: HandBack) -> None:
    """Send it again with the profile of now, hold it until due, or say its last word."""
    message, plan, now_ms = case.held.retry.message, case.plan, case.now_ms
    stale = case.held.retry.reason == Reason.STALE_PROFILE
    due_ms = now_ms if stale else case.held.retry.due_ms
    if not case.record.version and (message.profile_version or stale):
        return _say(case, Status.SUPPRESSED, Reason.ERASED)
    if plan is None:
        return _say(case, Status.CANCELLED, Reason.NO_MATCH)
    if message.expires_ms and max(now_ms, due_ms) >= message.expires_ms:
        return _say(case, Status.EXPIRED, Reason.TOO_LATE)
    point = _point(case.record, message)
    reason = _refusal(case.record, plan, message, point, now_ms)
    if point is None or reason:
        return _say(case, Status.SUPPRESSED, reason)
    if due_ms > now_ms:
        return _hold(case, Reason.RETRY_LATER, due_ms)
    quiet_ms = 0 if plan.critical else quiet_until(case.record, plan, now_ms)
    if quiet_ms:
        return _hold(case, Reason.QUIET_HOURS, quiet_ms)
    _note_version(case)
    case.step.messages.append(_refreshed(case, plan, point))
    return None


def is_first(record: UserRecord, retry: Retry, now_ms: int, policy: GatePolicy) -> bool:
    """Look up whether this pass was handed back before, and remember it."""
    message, window_ms = retry.message, policy.dedup_window_ms
    key = dedup.key_of(message.message_id, f"{message.attempt}/{message.decided_ms}")
    if dedup.original(record.seen, key, message.decided_ms, window_ms, now_ms):
        return False
    record.seen = dedup.remember(
        record.seen, key, message.decided_ms, window_ms, now_ms, message.origin, policy.dedup_max
    )
    return True


def _point(record: UserRecord, message: Message) -> Point | None:
    """The target as the profile has it now; an inline recipient's own while there is no profile."""
    key = target_id(message.target.address)
    for point in record.points:
        if point.channel == message.channel and point.key == key:
            return point
    return None if record.version else Point(message.channel, key, message.target.address)


def _refusal(record: UserRecord, plan: Plan, message: Message, point: Point | None, now_ms: int) -> Reason:
    if record.off or record.snoozed_until_ms:
        reason = Reason.NONE if plan.required else _unwanted(record, plan, message.channel, now_ms)
        if reason:
            return reason
    if point is None:
        return Reason.NO_CHANNEL
    return Reason.TARGET_BLOCKED if is_blocked(record, point) else Reason.NONE


def _unwanted(record: UserRecord, plan: Plan, channel: str, now_ms: int) -> Reason:
    return preferences.refusal(
        record.off, record.snoozed_until_ms, now_ms, plan.off_notification, plan.off_category
    ) or preferences.channel_refusal(
        record.off, switches.channel_key(channel), switches.category_key(plan.category, channel)
    )


def _note_version(case: HandBack) -> None:
    """Note the version again where the ledger called a message stale that was not.

    That happens when a user was erased and came back: the ledger still has the erasure.
    """
    stale = case.held.retry.reason == Reason.STALE_PROFILE
    if stale and case.held.retry.message.profile_version >= case.record.version:
        case.step.profile_version = case.record.version


def _refreshed(case: HandBack, plan: Plan, point: Point) -> Message:
    message, record = case.held.retry.message, case.record
    return replace(
        message,
        target=route.target(point, message.user) if record.version else message.target,
        locale=record.locale or (plan.locale if record.version else message.locale),
        timezone=record.timezone or (plan.timezone if record.version else message.timezone),
        profile_version=record.version,
        catalog_version=case.version,
        # Later than before even where time stands still: the ledger knows a pass by it.
        decided_ms=max(case.now_ms, message.decided_ms + 1),
    )


def _hold(case: HandBack, reason: Reason, due_ms: int) -> None:
    message, holds = case.held.retry.message, case.record.holds
    due_ms = behind(holds, due_ms, RETRY_TIMER)
    if message.expires_ms and due_ms >= message.expires_ms:
        return _say(case, Status.EXPIRED, Reason.TOO_LATE, {"held_for": reason.value})
    timer_id = RETRY_TIMER + message.message_id
    if len(holds) >= case.policy.holds_max and timer_id not in holds:
        detail: Detail = {"counter": "held", "limit": case.policy.holds_max, "count": len(holds)}
        return _say(case, Status.SUPPRESSED, Reason.LIMIT, detail)
    holds[timer_id] = HoldRef(
        due_ms=due_ms,
        notification_id=message.notification_id,
        notification=message.notification,
        category=message.category,
        event_id=message.event_id,
        origin=str(message.origin),
        message_id=message.message_id,
        channel=message.channel,
        target=target_id(message.target.address),
        attempt=message.attempt,
    )
    case.step.touched = True
    payload = encode_held(HeldRetry(case.held.retry, case.held.round + 1))
    case.step.holds.append(Hold(timer_id, due_ms, payload))
    return _say(case, Status.HELD, reason, {"due_ms": due_ms})


def _say(case: HandBack, status: Status, reason: Reason, detail: Detail | None = None) -> None:
    message = case.held.retry.message
    key = target_id(message.target.address)
    word = message_word(message, key, status, reason, case.now_ms, case.version, detail)
    if status is Status.HELD:
        # An attempt may be held again, for quiet hours or for want of a provider: each hold is a word.
        hold = f"{message.message_id}/{message.decided_ms}/{case.held.round}"
        word = replace(word, outcome_id=outcome_id(hold, status.value, message.attempt))
    case.step.outcomes.append(word)
