"""Every rule at every stage: the verdict where its cause holds, and the order where several hold."""

import pytest

from tests.decision.causes import (
    CAUSES,
    DIGEST,
    EVENT,
    RETURNED,
    TIMER,
    Cause,
    asked,
    caused,
    counted,
    evaluation,
    full,
)
from tests.decision.gate_world import CATALOG, HOUR, MINUTE, NOON
from tocsin.decision.evaluation import ALL_FACTS, QUIET, TIMED, Evaluation, Stage
from tocsin.decision.evaluator import evaluate
from tocsin.decision.rules import ORDER, Entry, Level, bind
from tocsin.decision.rules.backoff import backoff
from tocsin.decision.rules.cancelled import cancelled
from tocsin.decision.rules.contact_points import usable
from tocsin.decision.rules.expiry import expiry
from tocsin.decision.rules.limits import channel_limits, notification_limits
from tocsin.decision.rules.preferences import channel_preferences, notification_preferences
from tocsin.decision.rules.quiet_hours import quiet_hours
from tocsin.decision.rules.schedule import schedule
from tocsin.decision.rules.snooze import snooze
from tocsin.decision.user_state import HoldRef
from tocsin.decision.verdict import Expire, Hold, Suppress, Verdict
from tocsin.model.statuses import Reason


def named(cause: Cause) -> str:
    verdict = cause.verdict
    assert verdict is not None
    return f"{cause.rule.__name__}-{verdict.reason}"


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


@pytest.mark.parametrize(("cause", "stage"), [(cause, stage) for cause in CAUSES for stage in cause.stages])
def test_a_rule_that_objects_is_asked_where_its_facts_hold(cause: Cause, stage: Stage) -> None:
    found = caused(cause, stage)
    to, point = found.recipient, found.contact_point
    facts = TIMED * bool(found.expires_ms or found.not_before_ms or to.snoozed_until_ms)
    facts += QUIET * (to.quiet_hours is not None)
    rules = bind(found.notification)[stage]
    targets = rules.target if to.blocked or point is None else rules.unblocked
    of_channel = rules.channel if found.channel is None else rules.of.get(found.channel.name, rules.channel)
    assert cause.rule in (*rules.given[facts], *of_channel, *targets)


def test_rules_that_keep_times_are_not_asked_where_there_are_none() -> None:
    few = CATALOG.notification("quiet", "few")
    assert few is not None
    bound = bind(few)[EVENT]
    assert bound.given[0] == (notification_preferences, notification_limits)
    assert bound.given[ALL_FACTS] == bound.whole
    assert (bound.target, bound.unblocked) == ((usable,), ())
    assert bound.of == {"email": (channel_preferences,), "sms": (channel_preferences, channel_limits)}


def test_every_rule_of_the_registry_is_in_the_table() -> None:
    assert {entry.rule for entry in ORDER} == {cause.rule for cause in CAUSES}


def test_the_order_of_a_new_notification_and_of_a_returned_message() -> None:
    few = CATALOG.notification("quiet", "few")
    assert few is not None
    bound = bind(few)
    assert bound[EVENT][:3] == (
        (expiry, schedule, notification_preferences, notification_limits, snooze, quiet_hours),
        (channel_preferences, channel_limits),
        (usable,),
    )
    assert bound[TIMER] == bound[EVENT]
    due = (expiry, notification_preferences, notification_limits, snooze, quiet_hours)
    assert bound[DIGEST].whole == due
    assert bound[DIGEST][1:3] == bound[EVENT][1:3]
    assert bound[RETURNED].whole == (
        cancelled, expiry, notification_preferences, channel_preferences, usable, backoff, snooze, quiet_hours
    )  # fmt: skip


def test_only_rules_that_can_apply_are_asked() -> None:
    found = CATALOG.notification("quiet", "cancelled")
    assert found is not None, "of a required category, and critical"
    assert bind(found)[EVENT][:3] == ((expiry, schedule), (), (usable,))


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
    numbers = full(counter, 2, 10 * MINUTE)
    assert verdict == Hold(NOON + 19 * MINUTE, Reason.LIMIT_HOLD, counter, first_ms, numbers)
    waited = notification_limits(evaluation(TIMER, "drip", state=state, waited_for=counter))
    assert waited == Hold(first_ms, Reason.LIMIT_HOLD, counter, first_ms, numbers), "its turn has come"


def test_a_returned_message_is_too_late_if_its_next_attempt_is() -> None:
    found = evaluation(RETURNED, expires_ms=NOON + HOUR, not_before_ms=NOON + HOUR + 1)
    assert evaluate(asked(found), found) == Expire(detail={"expires_ms": NOON + HOUR})
    found.not_before_ms -= 1
    assert evaluate(asked(found), found) == Hold(NOON + HOUR, Reason.RETRY_LATER)
