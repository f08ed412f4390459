"""Every rule at every stage: the verdict where its cause holds, and the order where several hold."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import pytest

from tests.decision.gate_world import CATALOG, DATA, HOUR, MINUTE, NOON, World, profile
from tocsin.catalog.matching import Match
from tocsin.decision import limits
from tocsin.decision.evaluation import Evaluation, Rule, Stage
from tocsin.decision.evaluator import evaluate
from tocsin.decision.recipient import Recipient
from tocsin.decision.rules import ORDER, Entry, Level, Rules, bind
from tocsin.decision.rules.backoff import backoff
from tocsin.decision.rules.contact_points import usable
from tocsin.decision.rules.duplicate_key import duplicate_key
from tocsin.decision.rules.expiry import expiry
from tocsin.decision.rules.limits import channel_limits, notification_limits
from tocsin.decision.rules.preferences import channel_preferences, notification_preferences
from tocsin.decision.rules.quiet_hours import quiet_hours
from tocsin.decision.rules.schedule import schedule
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.user_state import ContactPoint, HoldRef, UserRecord
from tocsin.decision.verdict import Detail, Expire, Hold, Suppress, Verdict
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message, Retry
from tocsin.model.statuses import Reason

EVENT, TIMER, RETURNED = Stage
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
        for counter in (*compiled.counters, *(one.counter for one in compiled.channels if one.counter)):
            limits.count(state.counts, counter, NOON - MINUTE)
    return state


class Cause(NamedTuple):
    """What makes a rule object, its verdict then, and the stages at which it is asked."""

    rule: Rule
    verdict: Verdict
    stages: tuple[Stage, ...]
    notification: str = "landed"
    changes: Mapping[str, object] = MappingProxyType({})


def key_taken() -> UserRecord:
    world = World()
    world.profile(profile())
    world.event("once", data={"key": "k"}, origin=Origin("events", 3, 5))
    record = world.record()
    assert record is not None
    return record


ALL, NEW = (EVENT, TIMER, RETURNED), (EVENT, TIMER)
SLOT = Hold(NOON + 9 * MINUTE, Reason.LIMIT_HOLD, "notification:drip", NOON + 9 * MINUTE)
FULL: Detail = {"counter": "notification:few", "limit": 3, "window_s": 3600.0, "count": 3}
FULL_SMS: Detail = {"counter": "channel:sms", "limit": 1, "window_s": 3600.0, "count": 1}
CAUSES = (
    Cause(duplicate_key, Suppress(Reason.DUPLICATE_KEY, {"original": "events/3/5"}), (EVENT,), "once",
          {"state": key_taken()}),
    Cause(expiry, Expire(), ALL, changes={"expires_ms": NOON - 1}),
    Cause(schedule, Hold(NOON + 1, Reason.SCHEDULED), NEW, changes={"not_before_ms": NOON + 1}),
    Cause(notification_preferences, Suppress(Reason.OPTED_OUT), ALL,
          changes={"recipient": ann(switched_off=("*",))}),
    Cause(notification_preferences, Suppress(Reason.SNOOZED), ALL,
          changes={"recipient": ann(snoozed_until_ms=NOON + 1)}),
    Cause(notification_preferences, Suppress(Reason.NOTIFICATION_OFF), ALL,
          changes={"recipient": ann(switched_off=("notification:landed",))}),
    Cause(notification_preferences, Suppress(Reason.CATEGORY_OFF), ALL,
          changes={"recipient": ann(switched_off=("category:updates",))}),
    Cause(notification_limits, Suppress(Reason.LIMIT, FULL), NEW, "few", {"state": counted("few", 3)}),
    Cause(notification_limits, SLOT, NEW, "drip", {"state": counted("drip", 2)}),
    Cause(channel_preferences, Suppress(Reason.CHANNEL_OFF), ALL,
          changes={"recipient": ann(switched_off=("channel:email",))}),
    Cause(channel_preferences, Suppress(Reason.CATEGORY_OFF), ALL,
          changes={"recipient": ann(switched_off=("category:updates:email",))}),
    Cause(channel_limits, Suppress(Reason.LIMIT, FULL_SMS), NEW, "few",
          {"state": counted("few", 1), "channel": "sms"}),
    Cause(usable, Suppress(Reason.NO_CHANNEL), ALL, changes={"contact_point": None}),
    Cause(usable, Suppress(Reason.TARGET_BLOCKED), ALL, changes={"recipient": ann(blocked={"key": NOON})}),
    Cause(backoff, Hold(NOON + 1, Reason.RETRY_LATER), (RETURNED,), changes={"not_before_ms": NOON + 1}),
    Cause(quiet_hours, Hold(NOON + HOUR, Reason.QUIET_HOURS), ALL,
          changes={"recipient": ann(quiet_hours=(11 * 60, 13 * 60))}),
    Cause(quiet_hours, Hold(NOON + 11 * HOUR, Reason.QUIET_HOURS), ALL, "daytime",
          {"recipient": ann(timezone="Asia/Tokyo", own_timezone="Asia/Tokyo"), "now_ms": NOON - HOUR}),
)  # fmt: skip


def named(cause: Cause) -> str:
    verdict = cause.verdict
    assert verdict is not None
    return f"{cause.rule.__name__}-{verdict.reason}"


def caused(cause: Cause, stage: Stage) -> Evaluation:
    changes = dict(cause.changes)
    found = evaluation(stage, cause.notification)
    if "channel" in changes:
        found.channel = found.notification.channel(str(changes.pop("channel")))
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def asked(found: Evaluation) -> tuple[Rule, ...]:
    rules = bind(found.notification)[found.stage]
    return (*rules.whole, *rules.channel, *rules.target)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("cause", CAUSES, ids=named)
def test_each_rule_at_each_stage(cause: Cause, stage: Stage) -> None:
    found = caused(cause, stage)
    rules = asked(found)
    expected = cause.verdict if stage in cause.stages else None
    if cause.rule in (schedule, backoff):
        # Both read the same time; at each stage exactly one of them is asked.
        assert (cause.rule in rules) == (stage in cause.stages)
        rules = tuple(rule for rule in rules if rule not in (schedule, backoff) or rule is cause.rule)
    assert evaluate(rules, found) == expected


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("notification", ["landed", "once", "few", "drip", "daytime", "cancelled"])
def test_no_rule_objects_without_a_cause(notification: str, stage: Stage) -> None:
    found = evaluation(stage, notification)
    assert evaluate(asked(found), found) is None


def test_every_rule_of_the_registry_is_in_the_table() -> None:
    assert {entry.rule for entry in ORDER} == {cause.rule for cause in CAUSES}


def test_the_order_of_a_new_notification_and_of_a_returned_message() -> None:
    few = CATALOG.notification("quiet", "few")
    assert few is not None
    bound = bind(few)
    assert bound[EVENT] == Rules(
        (expiry, schedule, notification_preferences, notification_limits, quiet_hours),
        (channel_preferences, channel_limits),
        (usable,),
    )
    assert bound[TIMER] == bound[EVENT]
    assert bound[RETURNED].whole == (
        expiry, notification_preferences, channel_preferences, usable, backoff, quiet_hours
    )  # fmt: skip


def test_only_rules_that_can_apply_are_asked() -> None:
    cancelled = CATALOG.notification("quiet", "cancelled")
    assert cancelled is not None, "of a required category, and critical"
    assert bind(cancelled)[EVENT] == Rules((expiry, schedule), (), (usable,))


def test_a_rule_that_is_added_is_asked_in_its_place() -> None:
    def never(evaluation: Evaluation) -> Verdict:
        return Suppress(Reason.LIMIT)

    landed = CATALOG.notification("quiet", "landed")
    assert landed is not None
    order = (Entry(never, Level.NOTIFICATION, applies=lambda one: one.name == "landed"), *ORDER)
    assert all(rules.whole[0] is never for rules in bind(landed, order).values())


def test_what_waits_for_a_limit_has_its_slots() -> None:
    """Two in ten minutes were admitted a minute ago; three wait, of which one has no slot of its own."""
    state = counted("drip", 2)
    for number, (minutes, spare) in enumerate([(9, False), (9, False), (15, True)]):
        due_ms = NOON + minutes * MINUTE
        state.holds[f"n{number}"] = HoldRef(
            due_ms, "n", "drip", "", "", "", counter="notification:drip", spare=spare
        )
    first_ms, counter = NOON + 9 * MINUTE, "notification:drip"
    verdict = notification_limits(evaluation(EVENT, "drip", state=state))
    assert verdict == Hold(NOON + 19 * MINUTE, Reason.LIMIT_HOLD, counter, first_ms)
    waited = notification_limits(evaluation(TIMER, "drip", state=state, waited_for=counter))
    assert waited == Hold(first_ms, Reason.LIMIT_HOLD, counter, first_ms), "its turn has come"


def test_a_returned_message_is_too_late_if_its_next_attempt_is() -> None:
    found = evaluation(RETURNED, expires_ms=NOON + HOUR, not_before_ms=NOON + HOUR + 1)
    assert evaluate(asked(found), found) == Expire()
    found.not_before_ms -= 1
    assert evaluate(asked(found), found) == Hold(NOON + HOUR, Reason.RETRY_LATER)
