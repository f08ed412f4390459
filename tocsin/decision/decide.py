"""One notification for one user: expired, scheduled, allowed, within limits, at a fit hour, and where to.

The order is fixed. What is held is decided again from the start when due, so each rule is judged by the
profile, catalog and counts of the time it goes out.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from tocsin.catalog.caps import Cap
from tocsin.catalog.compile import ChannelPlan, Plan
from tocsin.catalog.matching import Chosen
from tocsin.decision import limits, preferences, quiet_hours, route
from tocsin.decision.policy import GatePolicy
from tocsin.decision.record import HoldRef, Point, UserRecord, behind
from tocsin.decision.step import HeldNotification, Hold, Step, encode_held
from tocsin.decision.words import Detail
from tocsin.model.event import Event
from tocsin.model.ids import hash_of, message_id, outcome_id
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason, Status

_ADMITTED, _SUPPRESSED = Status.ADMITTED.value, Status.SUPPRESSED.value
_HELD, _EXPIRED = Status.HELD.value, Status.EXPIRED.value
NOTIFICATION_TIMER: Final = "n"


class Case(msgspec.Struct):
    """What a decision about one notification rests on, and the step it writes to.

    Attributes:
        person: the user's record; for an inline recipient a view of it with his contacts, which shares its
            counts, blocks and holds.
        round: how often this notification has been held before; tells its outcomes apart.
        message: what its messages have in common; `word`: what its outcomes have. Both are copied with
            changes, of at most 14 fields at once: beyond that CPython 3.11 takes a slow way of calling.
    """

    step: Step
    person: UserRecord
    event: Event
    chosen: Chosen
    now_ms: int
    policy: GatePolicy
    round: int = 0
    notification_id: str = ""
    origin: str = ""
    expires_ms: int = 0
    priority: str = ""
    message: Message | None = None
    word: Outcome | None = None

    def __post_init__(self) -> None:
        event, plan, origin = self.event, self.chosen.plan, self.event.origin
        source, event_id, user = event.source, event.id, event.user
        self.notification_id = hash_of(
            f"{plan.spelled_head}{len(source)}:{source}{len(event_id)}:{event_id}{len(user)}:{user}"
            f"{plan.spelled_tail}"
        )
        self.origin = f"{origin.topic}/{origin.partition}/{origin.offset}"
        self.expires_ms = expiry(event, plan) if plan.expires_ms or event.expires_ms else 0
        # Broadcasts travel with the low ones, so that they never delay events; critical ones do not wait.
        self.priority = "low" if event.bulk and not plan.critical else plan.priority


def expiry(event: Event, plan: Plan) -> int:
    """When a notification is too late, in ms; 0 for never. The earlier of the event's and the catalog's."""
    own = event.expires_ms or 0
    if not plan.expires_ms:
        return own
    common = event.time_ms + plan.expires_ms
    return min(own, common) if own else common


def quiet_until(person: UserRecord, plan: Plan, now_ms: int) -> int:
    """When quiet hours and the send window let a notification leave; 0 for now."""
    zone = person.timezone or plan.timezone
    until = 0
    if person.quiet_start_min >= 0:
        until = quiet_hours.ends_at(zone, person.quiet_start_min, person.quiet_end_min, now_ms)
    elif plan.quiet is not None:
        until = quiet_hours.ends_at(zone, *plan.quiet, now_ms)
    if plan.send_window is not None:
        opens, closes = plan.send_window
        until = max(until, quiet_hours.ends_at(zone, closes, opens, now_ms))
    return until


def is_blocked(person: UserRecord, point: Point) -> bool:
    """Whether a provider refused this point since it was registered."""
    blocked_ms = person.blocked.get(point.key)
    return blocked_ms is not None and point.registered_ms <= blocked_ms


def decide(case: Case) -> None:
    """Decide a notification; appends exactly one word, or one a channel and target, to the step."""
    plan, event, person, now_ms = case.chosen.plan, case.event, case.person, case.now_ms
    if case.expires_ms and now_ms >= case.expires_ms:
        return _say(case, _EXPIRED, Reason.TOO_LATE)
    due_ms = event.send_at_ms or (event.time_ms + plan.delay_ms if plan.delay_ms else 0)
    if due_ms > now_ms:
        return _hold(case, Reason.SCHEDULED, due_ms)
    if not plan.required and (person.off or person.snoozed_until_ms):
        reason = preferences.refusal(
            person.off, person.snoozed_until_ms, now_ms, plan.off_notification, plan.off_category
        )
        if reason:
            return _say(case, _SUPPRESSED, reason)
    if plan.caps and not _has_room(case):
        return None
    if not plan.critical and (due_ms := quiet_until(person, plan, now_ms)):
        return _hold(case, Reason.QUIET_HOURS, due_ms)
    return _route(case)


def _has_room(case: Case) -> bool:
    """Check the caps; where one is full, the notification is dropped or held (drops are checked first)."""
    counts = case.person.counts
    due_ms, counter = 0, ""
    for cap in case.chosen.plan.caps:
        free_ms = limits.room_at(counts, cap, case.now_ms)
        if not free_ms:
            continue
        if not cap.hold:
            _say(case, _SUPPRESSED, Reason.LIMIT, detail=_numbers(case, cap))
            return False
        free_ms += _queue(case.person, cap) * cap.window_ms
        due_ms, counter = max((due_ms, counter), (free_ms, cap.counter))
    if due_ms:
        _hold(case, Reason.LIMIT_HOLD, due_ms, counter)
    return not due_ms


def _queue(person: UserRecord, cap: Cap) -> int:
    """How many windows those who already wait for this counter will fill."""
    return sum(ref.counter == cap.counter for ref in person.holds.values()) // cap.max


def _numbers(case: Case, cap: Cap) -> Detail:
    return {
        "counter": cap.counter,
        "limit": cap.max,
        "window_s": cap.window_ms / 1000,
        "count": limits.count_in(case.person.counts, cap, case.now_ms),
    }


def _route(case: Case) -> None:
    """Turn the notification into one message a target, with one word for each target or channel."""
    plan, person = case.chosen.plan, case.person
    sent = False
    for channel in case.chosen.channels:
        if _channel_refused(case, channel):
            continue
        admitted = _admit_all(case, channel)
        if admitted and channel.counter is not None:
            limits.count(person.counts, channel.counter, case.now_ms)
        sent = sent or admitted
    if sent:
        for counter in plan.counters:
            limits.count(person.counts, counter, case.now_ms)
    elif not case.chosen.channels:
        _say(case, _SUPPRESSED, Reason.NO_MATCH)


def _channel_refused(case: Case, channel: ChannelPlan) -> bool:
    """Say the word of a channel that is off or full."""
    person = case.person
    if person.off and not case.chosen.plan.required:
        reason = preferences.channel_refusal(person.off, channel.off_channel, channel.off_category)
        if reason:
            _say(case, _SUPPRESSED, reason, channel=channel.name)
            return True
    for cap in channel.caps:
        if limits.room_at(person.counts, cap, case.now_ms):
            _say(case, _SUPPRESSED, Reason.LIMIT, channel=channel.name, detail=_numbers(case, cap))
            return True
    return False


def _admit_all(case: Case, channel: ChannelPlan) -> bool:
    """Admit a message to each point of a channel; whether there was one that is not blocked."""
    found = admitted = False
    person, name = case.person, channel.name
    for point in person.points:
        if point.channel != name:
            continue
        found = True
        if person.blocked and is_blocked(person, point):
            _say(case, _SUPPRESSED, Reason.TARGET_BLOCKED, channel=name, point=point)
            continue
        admitted = True
        _admit(case, channel, point)
    if not found:
        _say(case, _SUPPRESSED, Reason.NO_CHANNEL, channel=name)
    return admitted


def _admit(case: Case, channel: ChannelPlan, point: Point) -> None:
    """Append a message and its word. Its ids are those of `model.ids`, spelled out: half of the cost."""
    nid, key, name = case.notification_id, point.key, channel.name
    mid = hash_of(f"1:m32:{nid}{channel.spelled}{len(key)}:{key}1:0")
    target = route.target(point, case.event.user)
    if case.message is None:
        case.message = _common_message(case)
    case.step.messages.append(replace(case.message, message_id=mid, channel=name, target=target))
    oid = outcome_id(mid, _ADMITTED, case.round) if case.round else hash_of(f"1:o32:{mid}8:admitted1:0")
    case.step.outcomes.append(
        replace(
            case.word or _common_word(case),
            outcome_id=oid,
            message_id=mid,
            channel=name,
            target=key,
            platform=point.platform,
        )
    )


def _common_message(case: Case) -> Message:
    event, person, plan = case.event, case.person, case.chosen.plan
    common = replace(
        plan.message,
        notification_id=case.notification_id,
        user=event.user,
        data=event.data,
        locale=person.locale or plan.locale,
        timezone=person.timezone or plan.timezone,
        profile_version=person.version,
        event_id=event.id,
        event_source=event.source,
        event_type=event.type,
        event_time_ms=event.time_ms,
        received_ms=event.received_ms,
        decided_ms=case.now_ms,
        expires_ms=case.expires_ms,
        origin=event.origin,
    )
    if not case.chosen.collapse_key and case.priority == plan.priority:
        return common
    return replace(common, collapse_key=case.chosen.collapse_key, priority=case.priority)


def _say(
    case: Case,
    status: str,
    reason: Reason,
    *,
    channel: str = "*",
    point: Point | None = None,
    detail: Detail | None = None,
) -> None:
    """Append a word about the notification, one of its channels, or one target."""
    nid, key, platform, about = case.notification_id, "", "", ""
    subject = nid if channel == "*" else message_id(nid, channel, "")
    if point is not None:
        key, platform = point.key, point.platform
        subject = about = message_id(nid, channel, key)
    oid = outcome_id(subject, status, case.round)
    word = replace(
        case.word or _common_word(case),
        outcome_id=oid,
        status=status,
        message_id=about,
        channel=channel,
        target=key,
        platform=platform,
        reason=reason.value,
        detail=detail or {},
    )
    case.step.outcomes.append(word)


def _common_word(case: Case) -> Outcome:
    event = case.event
    word = case.word = replace(
        case.chosen.plan.word,
        user=event.user,
        notification_id=case.notification_id,
        event_id=event.id,
        event_source=event.source,
        event_type=event.type,
        event_time_ms=event.time_ms,
        origin=case.origin,
        priority=case.priority,
        attempt=case.round,
        at_ms=case.now_ms,
        received_ms=event.received_ms,
    )
    return word


def say(case: Case, status: Status, reason: Reason, detail: Detail | None = None) -> None:
    """Append a word about the notification as a whole."""
    _say(case, status.value, reason, detail=detail)


def _hold(case: Case, reason: Reason, due_ms: int, counter: str = "") -> None:
    """Hold until `due_ms`, behind what is held until then; what would then be too late is expired at once."""
    event, plan, holds = case.event, case.chosen.plan, case.person.holds
    due_ms = behind(holds, due_ms, NOTIFICATION_TIMER) if holds else due_ms
    if case.expires_ms and due_ms >= case.expires_ms:
        return _say(case, _EXPIRED, Reason.TOO_LATE, detail={"held_for": reason.value})
    timer_id = NOTIFICATION_TIMER + case.notification_id
    if len(holds) >= case.policy.holds_max and timer_id not in holds:
        detail: Detail = {"counter": "held", "limit": case.policy.holds_max, "count": len(holds)}
        return _say(case, _SUPPRESSED, Reason.LIMIT, detail=detail)
    holds[timer_id] = HoldRef(
        due_ms=due_ms,
        notification_id=case.notification_id,
        notification=plan.name,
        category=plan.category,
        event_id=event.id,
        origin=case.origin,
        attempt=case.round,
        counter=counter,
    )
    payload = encode_held(HeldNotification(event, plan.name, case.round + 1))
    case.step.holds.append(Hold(timer_id, due_ms, payload))
    return _say(case, _HELD, reason, detail={"due_ms": due_ms})
