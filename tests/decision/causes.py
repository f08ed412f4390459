"""What makes each rule object: the table that the tests of the rules and the page of the rules share."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from tests.decision.gate_world import CATALOG, DATA, HOUR, MINUTE, NOON, World, profile
from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.matching import Match
from tocsin.decision import called_back, engagement, limits
from tocsin.decision.evaluation import Evaluation, Rule, Stage
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recipient import Recipient
from tocsin.decision.rules import bind
from tocsin.decision.rules.active_tenant import active_tenant
from tocsin.decision.rules.backoff import backoff
from tocsin.decision.rules.cancelled import cancelled
from tocsin.decision.rules.channel_window import channel_window
from tocsin.decision.rules.contact_points import usable
from tocsin.decision.rules.digest import digest
from tocsin.decision.rules.duplicate_key import duplicate_key
from tocsin.decision.rules.expiry import expiry
from tocsin.decision.rules.holdout import holdout
from tocsin.decision.rules.limits import channel_limits, notification_limits
from tocsin.decision.rules.preferences import channel_preferences, notification_preferences
from tocsin.decision.rules.quiet_hours import quiet_hours
from tocsin.decision.rules.schedule import schedule
from tocsin.decision.rules.seen import answered, seen
from tocsin.decision.rules.snooze import snooze
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.decision.verdict import Cancel, Detail, Expire, Hold, Merge, Suppress, Verdict
from tocsin.formats.forwarded import rewritten
from tocsin.model.engagement import Level
from tocsin.model.event import Event, Origin
from tocsin.model.ids import digest as digest_id
from tocsin.model.message import Message, Retry
from tocsin.model.statuses import Reason

EVENT, TIMER, DIGEST, PART, RETURNED = Stage
POINT = ContactPoint("email", "key", "ann@mail.example")
ANN = Recipient(1, (POINT,), "en", "UTC", "en", "UTC", None, (), 0, {})


def evaluation(stage: Stage, notification: str = "landed", **changes: object) -> Evaluation:
    """An evaluation of Ann's mail in which no rule has an objection."""
    compiled = CATALOG.notification("quiet", notification)
    assert compiled is not None
    event = Event(
        tenant="quiet", id="e1", source="/s", type="t", user="ann", time_ms=NOON,
        data=msgspec.Raw(msgspec.json.encode(DATA)), origin=Origin("events", 3, 9), received_ms=NOON,
    )  # fmt: skip
    match = Match(compiled, compiled.channels, "k")
    subject: EventSubject | MessageSubject = EventSubject(event, rewritten(event), match, NOON)
    if stage is RETURNED:
        subject = MessageSubject(Retry(message=message(), reason="transient", due_ms=0), NOON, "v")
    found = Evaluation(subject, ANN, compiled, UserRecord(), NOON, stage)
    found.channel, found.contact_point = compiled.channel("email"), POINT
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def message() -> Message:
    world = World()
    world.profile(profile())
    return world.event("flight.landed").messages[-1]


def ann(**changes: object) -> Recipient:
    return msgspec.structs.replace(ANN, **changes)


def counted(notification: str, times: int) -> UserRecord:
    """A record in which a notification and its mails were admitted so often an hour ago."""
    state, compiled = UserRecord(), CATALOG.notification("quiet", notification)
    assert compiled is not None
    for _ in range(times):
        for counter in (*compiled.counters, *(one for use in compiled.channels for one in use.counters)):
            limits.count(state.counts, (counter,), NOON - MINUTE, "UTC")
    return state


def step(notification: str, unless: Level = Level.OPENED) -> EventSubject:
    """A later step of a notification on its mail."""
    subject = evaluation(PART, notification).subject
    assert isinstance(subject, EventSubject)
    return subject.as_part("email", unless)


def engaged(level: Level, *, stops: bool = True) -> UserRecord:
    """A record in which receipts of the event's notification and of the returned message have come."""
    entries = b""
    for nid in (step("chased").notification_id, message().notification_id):
        entries = engagement.note(entries, nid, level, stops=stops, until_ms=NOON + 1, most=9)
    return UserRecord(engaged=entries)


def cancelled_later() -> UserRecord:
    """A record in which an event has named the notification of the returned message."""
    record = UserRecord()
    origin = Origin("events", 3, 10)
    called_back.remember(record, message().notification_id, b"", "", origin, NOON, GatePolicy())
    return record


class Cause(NamedTuple):
    """What makes a rule object, its verdict then, and the stages at which it is asked."""

    why: str
    rule: Rule
    verdict: Verdict
    stages: tuple[Stage, ...]
    notification: str = "landed"
    changes: Mapping[str, object] = MappingProxyType({})


def inactive(name: str) -> CompiledNotification:
    """A notification of a tenant that has become inactive since it was matched."""
    found = CATALOG.notification("quiet", name)
    assert found is not None
    return msgspec.structs.replace(found, inactive=True)


def key_taken() -> UserRecord:
    world = World()
    world.profile(profile())
    world.event("once", data={"key": "k"}, origin=Origin("events", 3, 5))
    record = world.record()
    assert record is not None
    return record


def hours(start: str, end: str, zone: str) -> Detail:
    return {"window_start": start, "window_end": end, "zone": zone}


def asleep(start: str, end: str) -> Detail:
    return {"quiet_start": start, "quiet_end": end}


def dropped() -> CompiledNotification:
    """A notification of a tenant that drops what comes during a snooze."""
    landed = CATALOG.notification("quiet", "landed")
    assert landed is not None
    return msgspec.structs.replace(landed, snooze_drops=True)


def windowed() -> CompiledNotification:
    """A notification whose mails leave only in the afternoon, by the tenant's settings."""
    landed = CATALOG.notification("quiet", "landed")
    assert landed is not None
    channels = tuple(msgspec.structs.replace(one, window=(13 * 60, 21 * 60)) for one in landed.channels)
    return msgspec.structs.replace(landed, channels=channels)


DROPPED, WINDOWED = dropped(), windowed()
ALL, NEW, WHOLE = tuple(Stage), (EVENT, TIMER), (EVENT, TIMER, DIGEST)
GROUP = digest_id("d", "quiet", "ann", "gathered", "", "events/3/9")


def full(counter: str, most: int, window_ms: int = HOUR) -> Detail:
    """The numbers of a limit that is reached at noon."""
    numbers: Detail = {"counter": counter, "limit": most, "window_s": window_ms / 1000, "count": most}
    return numbers | {"window_start_ms": NOON - window_ms, "window_end_ms": NOON}


SLOT = Hold(
    NOON + 9 * MINUTE,
    Reason.LIMIT_HOLD,
    "notification:drip",
    NOON + 9 * MINUTE,
    full("notification:drip", 2, 10 * MINUTE),
)
SMS_SLOT = Hold(
    NOON + 59 * MINUTE,
    Reason.LIMIT_HOLD,
    "channel:sms",
    NOON + 59 * MINUTE,
    full("channel:sms", 1),
)
CAUSES = (
    Cause(
        "its user is in the control group of an experiment",
        holdout,
        Suppress(Reason.HOLDOUT),
        WHOLE,
        "tested",
    ),
    Cause(
        "another one with its key came within the window",
        duplicate_key,
        Suppress(Reason.DUPLICATE_KEY, {"original": "events/3/5"}),
        (EVENT,),
        "once",
        {"state": key_taken()},
    ),
    Cause(
        "its tenant has become inactive",
        active_tenant,
        Suppress(Reason.TENANT_INACTIVE),
        ALL,
        changes={"notification": inactive("landed")},
    ),
    Cause(
        "a receipt has come that makes this later step needless",
        answered,
        Cancel(Reason.ANSWERED, {"receipt": "opened"}),
        (PART,),
        "chased",
        {"subject": step("chased"), "state": engaged(Level.OPENED, stops=False)},
    ),
    Cause(
        "an event has cancelled it since it was admitted",
        cancelled,
        Cancel(Reason.CANCELLED_BY_EVENT, {"by": "events/3/10"}),
        (RETURNED,),
        changes={"state": cancelled_later()},
    ),
    Cause(
        "the user has seen it on another channel",
        seen,
        Suppress(Reason.SEEN, {"receipt": "read"}),
        (PART, RETURNED),
        "chased",
        {"state": engaged(Level.READ)},
    ),
    Cause(
        "its expiry is over",
        expiry,
        Expire(detail={"expires_ms": NOON - 1}),
        ALL,
        changes={"expires_ms": NOON - 1},
    ),
    Cause(
        "the time asked for is still to come",
        schedule,
        Hold(NOON + 1, Reason.SCHEDULED),
        NEW,
        changes={"not_before_ms": NOON + 1},
    ),
    Cause(
        "everything is switched off",
        notification_preferences,
        Suppress(Reason.OPTED_OUT),
        ALL,
        changes={"recipient": ann(switched_off=("*",))},
    ),
    Cause(
        "the notification is switched off",
        notification_preferences,
        Suppress(Reason.NOTIFICATION_OFF),
        ALL,
        changes={"recipient": ann(switched_off=("notification:landed",))},
    ),
    Cause(
        "its category is switched off",
        notification_preferences,
        Suppress(Reason.CATEGORY_OFF),
        ALL,
        changes={"recipient": ann(switched_off=("category:updates",))},
    ),
    Cause(
        "it is off by default, and the recipient has not turned it on",
        notification_preferences,
        Suppress(Reason.NOTIFICATION_OFF, {"by": "default"}),
        ALL,
        "silent",
    ),
    Cause(
        "the catalog collects it",
        digest,
        Merge(GROUP, NOON + HOUR, NOON + HOUR, 1),
        NEW,
        "gathered",
    ),
    Cause(
        "a limit that drops is reached",
        notification_limits,
        Suppress(Reason.LIMIT, full("notification:few", 3)),
        WHOLE,
        "few",
        {"state": counted("few", 3)},
    ),
    Cause(
        "a limit that holds is reached",
        notification_limits,
        SLOT,
        WHOLE,
        "drip",
        {"state": counted("drip", 2)},
    ),
    Cause(
        "the channel is switched off",
        channel_preferences,
        Suppress(Reason.CHANNEL_OFF),
        ALL,
        changes={"recipient": ann(switched_off=("channel:email",))},
    ),
    Cause(
        "its category is switched off on the channel",
        channel_preferences,
        Suppress(Reason.CATEGORY_OFF),
        ALL,
        changes={"recipient": ann(switched_off=("category:updates:email",))},
    ),
    Cause(
        "the notification is switched off on the channel",
        channel_preferences,
        Suppress(Reason.NOTIFICATION_OFF),
        ALL,
        changes={"recipient": ann(switched_off=("notification:landed:email",))},
    ),
    Cause(
        "it is off by default on the channel, and the recipient has not turned it on",
        channel_preferences,
        Suppress(Reason.NOTIFICATION_OFF, {"by": "default"}),
        ALL,
        "hushed",
        {"channel": "sms"},
    ),
    Cause(
        "a limit of the channel is reached",
        channel_limits,
        Suppress(Reason.LIMIT, full("channel:sms", 1)),
        (*WHOLE, PART),
        "few",
        {"state": counted("few", 1), "channel": "sms"},
    ),
    Cause(
        "a limit of the channel is reached that holds",
        channel_limits,
        SMS_SLOT,
        (*WHOLE, PART),
        "texts",
        {"state": counted("texts", 1), "channel": "sms"},
    ),
    Cause(
        "there is no address or device on the channel",
        usable,
        Suppress(Reason.NO_CHANNEL),
        ALL,
        changes={"contact_point": None},
    ),
    Cause(
        "the address or device is blocked",
        usable,
        Suppress(Reason.TARGET_BLOCKED),
        ALL,
        changes={"recipient": ann(blocked={"key": NOON})},
    ),
    Cause(
        "the next attempt is still to come",
        backoff,
        Hold(NOON + 1, Reason.RETRY_LATER),
        (RETURNED,),
        changes={"not_before_ms": NOON + 1},
    ),
    Cause(
        "the hours in which the channel may be used are to come",
        channel_window,
        Hold(NOON + HOUR, Reason.SEND_WINDOW, detail=hours("13:00", "21:00", "UTC")),
        ALL,
        changes={"notification": WINDOWED, "channel": "email"},
    ),
    Cause(
        "the quiet hours or the send window leave no time of the hours of the channel",
        channel_window,
        Suppress(Reason.SEND_WINDOW, hours("13:00", "21:00", "UTC") | asleep("12:30", "21:00")),
        ALL,
        changes={
            "notification": WINDOWED,
            "channel": "email",
            "recipient": ann(quiet_hours=(12 * 60 + 30, 21 * 60)),
        },
    ),
    Cause(
        "the snooze is not over",
        snooze,
        Hold(NOON + 1, Reason.SNOOZED),
        ALL,
        changes={"recipient": ann(snoozed_until_ms=NOON + 1)},
    ),
    Cause(
        "the snooze is not over, and the tenant drops",
        snooze,
        Suppress(Reason.SNOOZED, {"until_ms": NOON + 1}),
        ALL,
        changes={"recipient": ann(snoozed_until_ms=NOON + 1), "notification": DROPPED},
    ),
    Cause(
        "it is within the quiet hours",
        quiet_hours,
        Hold(NOON + HOUR, Reason.QUIET_HOURS, detail=hours("11:00", "13:00", "UTC")),
        ALL,
        changes={"recipient": ann(quiet_hours=(11 * 60, 13 * 60))},
    ),
    Cause(
        "it is outside of its send window",
        quiet_hours,
        Hold(NOON + 11 * HOUR, Reason.SEND_WINDOW, detail=hours("08:00", "20:00", "Asia/Tokyo")),
        ALL,
        "daytime",
        {"recipient": ann(timezone="Asia/Tokyo", own_timezone="Asia/Tokyo"), "now_ms": NOON - HOUR},
    ),
    Cause(
        "the quiet hours leave no time of its send window",
        quiet_hours,
        Suppress(Reason.SEND_WINDOW, hours("08:00", "20:00", "UTC") | asleep("07:00", "20:00")),
        ALL,
        "daytime",
        {"recipient": ann(quiet_hours=(7 * 60, 20 * 60))},
    ),
)


def caused(cause: Cause, stage: Stage) -> Evaluation:
    changes = dict(cause.changes)
    found = evaluation(stage, cause.notification)
    channel = changes.pop("channel", None)
    for name, value in changes.items():
        setattr(found, name, value)
    if channel is not None:
        found.channel = found.notification.channel(str(channel))
    return found


def asked(found: Evaluation) -> tuple[Rule, ...]:
    rules = bind(found.notification)[found.stage]
    return (*rules.whole, *rules.channel, *rules.target)
