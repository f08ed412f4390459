"""Stories say what the outcomes say, and nothing that does not follow from them."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.rule_order import ORDER, Cause, rules_of
from dashboards.story_parts import Story
from dashboards.telling import cause_of, tell
from tests.cli.test_explanations import lives
from tests.dashboards.story_rows import Rows, by_story, row
from tests.decision.gate_world import CATALOG
from tests.golden.wire import RUNS, read_outputs
from tocsin.decision import rules
from tocsin.decision.evaluation import Stage
from tocsin.model.statuses import Reason, Status

NOW = 1_700_000_000_000
HOUR = 3_600_000
N, M = "0a" * 16, "0b" * 16


def part(status: str, at: int = 0, **more: Any) -> dict[str, Any]:
    """One outcome of a notification."""
    fields: dict[str, Any] = {
        "user": "ann",
        "notification_id": N,
        "notification": "delayed",
        "event_id": "e1",
        "event_type": "flight.delayed",
        "origin": "events/3/7",
        "received_ms": NOW - 5,
    }
    return row(status, at_ms=NOW + at, **(fields | more))


def message(status: str, at: int = 0, **more: Any) -> dict[str, Any]:
    return part(status, at, **({"message_id": M, "channel": "sms"} | more))


def test_the_short_order_of_the_rules_is_that_of_the_gate() -> None:
    gate = [
        (one.rule.__name__, one.level.value, {stage.value for stage in one.stages}) for one in rules.ORDER
    ]
    assert [(one.rule, one.level, {cause.value for cause in one.causes}) for one in ORDER] == gate
    assert [cause.value for cause in Cause] == [stage.value for stage in Stage]


@pytest.mark.parametrize("stage", Stage)
def test_rules_are_named_in_the_order_in_which_the_gate_asks_them(stage: Stage) -> None:
    entries = tuple(one._replace(applies=lambda _notification: True) for one in rules.ORDER)
    notification = CATALOG.notification("default", "landed")
    assert notification is not None
    bound = rules.bind(notification, entries)[stage]
    asked_by_the_gate = [rule.__name__ for level in bound[:3] for rule in level]
    assert rules_of(Cause(stage.value)) == asked_by_the_gate


def test_a_story_has_its_event_its_decision_its_attempts_and_its_receipts_in_order() -> None:
    failed: dict[str, Any] = {"provider": "twilio", "code": "503", "provider_ms": 120}
    story = tell(
        [
            message("delivered", 9, provider="twilio"),
            message("sent", 3, attempt=2, provider="sns", provider_ms=40, provider_message_id="SM1"),
            message("retrying", 2, attempt=1, reason="transient", **failed),
            message("admitted", 1),
            part(
                "held",
                0,
                reason="quiet_hours",
                rule="quiet_hours",
                detail={"due_ms": NOW + 1, "zone": "Asia/Tokyo"},
            ),
        ]
    )
    assert [(step.kind, step.status) for step in story.steps] == [
        ("event", ""), ("decision", "held"), ("decision", "admitted"),
        ("attempt", "retrying"), ("attempt", "sent"), ("receipt", "delivered"),
    ]  # fmt: skip
    assert [(one.number, one.account, one.code, one.took_ms) for one in story.attempts] == [
        (1, "twilio", "503", 120), (2, "sns", "", 40),
    ]  # fmt: skip
    assert story.attempts[0].sentence == (
        "Attempt 1 by sms through twilio failed after 120 ms with 503: The provider failed for now."
    )
    assert story.attempts[1].sentence == "Attempt 2 by sms through sns: taken after 40 ms as SM1."
    assert [one.sentence for one in story.receipts] == ["It was delivered by sms, as twilio reports."]
    assert (story.state, story.zone, story.waits) == ("delivered", "Asia/Tokyo", ())
    assert story.heading.startswith(
        "delayed for ann: sent by sms at 2023-11-15 07:13:20 Asia/Tokyo; delivered"
    )


def test_the_event_of_a_stream_that_is_played_came_in_by_the_clock_of_the_stream() -> None:
    """It is of 2023; Kafka got it today. In a stream that is not played, Kafka's time is told."""
    today = NOW + 3 * 365 * 24 * HOUR
    played = tell([message("sent", 3), message("admitted", received_ms=today, event_time_ms=NOW - 60)])
    assert (played.steps[0].at_ms, played.first_ms) == (NOW - 60, NOW - 60)
    live = tell([message("admitted", received_ms=NOW + 20, event_time_ms=NOW - 60)])
    assert (live.steps[0].at_ms, live.first_ms) == (NOW + 20, NOW + 20)


def test_rules_before_the_one_that_objects_passed_and_no_others() -> None:
    story = tell([part("suppressed", reason="opted_out", rule="notification_preferences")])
    assert story.steps[1].passed == ("active_tenant", "duplicate_key", "expiry", "schedule")
    again = [
        part("held", 0, reason="scheduled", rule="schedule", detail={"due_ms": NOW + 1}),
        part("suppressed", 1, reason="opted_out", rule="notification_preferences", attempt=1),
    ]
    assert tell(again).steps[2].passed == ("active_tenant", "expiry", "schedule"), (
        "no dedup key is asked again"
    )
    unknown = tell([part("merged", reason="collapsed", rule="collapse_key", detail={"into": M})])
    assert unknown.steps[1].passed == (), "the order has no such rule"


def causes() -> Iterator[tuple[str, list[dict[str, Any]], Cause | None]]:
    held = part("held", 0, reason="quiet_hours")
    part_held = part("held", 0, reason="send_window", channel="sms")
    digest = part("held", 0, reason="digest")
    yield "event", [part("suppressed", 1, rule="expiry")], Cause.EVENT
    yield "timer", [held, part("suppressed", 1, rule="expiry", attempt=1)], Cause.TIMER
    yield "part", [part_held, part("suppressed", 1, rule="expiry", channel="sms", attempt=1)], Cause.PART
    yield "digest", [digest, part("suppressed", 1, rule="expiry")], Cause.DIGEST
    yield "the digest itself", [digest], None
    yield (
        "returned",
        [message("admitted"), message("suppressed", 1, rule="expiry", attempt=2)],
        Cause.RETURNED,
    )
    blocked = message("suppressed", 0, reason="target_blocked", rule="usable")
    yield "a target that is blocked from the first", [blocked], Cause.EVENT


@pytest.mark.parametrize(("name", "rows", "cause"), list(causes()))
def test_the_cause_of_a_decision_follows_from_the_outcomes_before(
    name: str, rows: Rows, cause: Cause | None
) -> None:
    assert cause_of(rows[-1], rows[:-1]) == cause, name


def test_a_hold_that_was_decided_is_no_wait() -> None:
    held = part("held", 0, reason="quiet_hours", detail={"due_ms": NOW + HOUR})
    assert [wait.until_ms for wait in tell([held]).waits] == [NOW + HOUR]
    assert tell([held]).waits[0].until == "2023-11-14 23:13:20 UTC"
    by_channel = part("suppressed", 1, channel="sms", reason="no_channel", rule="usable")
    assert tell([held, by_channel]).waits == ()
    apart = part("held", 1, channel="sms", reason="send_window", detail={"due_ms": NOW + 2 * HOUR})
    assert [wait.channel for wait in tell([held, apart]).waits] == ["sms"]


def test_the_event_s_wait_for_its_profile_is_part_of_the_story() -> None:
    whole = part(
        "held", 0, notification_id="", notification="", reason="awaiting_profile", detail={"due_ms": NOW + 9}
    )
    story = tell([part("suppressed", 4, reason="limit", rule="notification_limits"), whole])
    assert [step.reason for step in story.steps] == ["", "awaiting_profile", "limit"]
    assert (story.waits, story.state) == ((), "suppressed")
    assert story.steps[2].passed[1] == "duplicate_key", "it was decided as an event"


def test_a_link_says_what_became_of_the_other() -> None:
    merged = part("merged", detail={"into": "d1", "item": 2}, rule="digest")
    other = [part("held", reason="digest", notification_id="d1"), message("sent", HOUR, notification_id="d1")]
    (link,) = tell([merged], {"d1": other}).links
    assert (link.relation, link.subject) == ("digest", "d1")
    assert (
        link.sentence
        == "It was collected in the digest d1 as item 2: sent by sms at 2023-11-14 23:13:20 UTC."
    )
    (item,) = tell(other, {"items": [merged]}).links
    assert (item.relation, item.subject) == ("item", N)


def test_bad_input_names_the_reason_the_field_and_the_place() -> None:
    error = "Expected `str`, got `int` - at `$.id`; give each event of a source its own non-empty id"
    story = tell([row("dead", origin="events/0/3", reason="bad_field", detail={"error": error})])
    assert story.dead is not None
    assert (story.dead.reason, story.dead.error, story.dead.origin) == ("bad_field", error, "events/0/3")
    assert "events/0/3" in story.dead.replay
    assert "`$.id`" in story.steps[1].sentence
    assert story.state == "dead"


@pytest.mark.parametrize(
    ("kind", "status", "reason", "detail", "heading", "sentence"),
    [
        (
            "cancel",
            "suppressed",
            "cancel_applied",
            {"cancelled": 2},
            "done (cancel_applied)",
            "cancelled: 2.",
        ),
        (
            "cancel",
            "suppressed",
            "nothing_to_cancel",
            {},
            "nothing done (nothing_to_cancel)",
            "nothing that is",
        ),
        (
            "broadcast",
            "finished",
            "",
            {"broadcast": "b1", "action": "pause"},
            "done",
            "b1 was told to pause.",
        ),
        (
            "broadcast",
            "suppressed",
            "no_match",
            {"broadcast": "b2"},
            "nothing done (no_match)",
            "No broadcast b2 is under way, so nothing was done.",
        ),
    ],
)
def test_an_event_that_commands_was_done_and_is_nothing_that_was_not_sent(
    kind: str, status: str, reason: str, detail: dict[str, Any], heading: str, sentence: str
) -> None:
    named = {"origin": "events/0/3", "event_type": f"tocsin.{kind}"}
    story = tell([row(status, reason=reason, detail=detail, **named)])
    assert story.heading == f"tocsin.{kind}: {heading}"
    assert sentence in story.steps[1].sentence
    assert "not sent" not in story.steps[1].sentence


def test_an_event_for_a_topic_says_how_many_it_reached() -> None:
    told = tell([row("finished", origin="events/0/3", detail={"topic": "flights/UA1545", "users": 3})])
    sentence = "It is finished: it was handed to the subscribers of the topic flights/UA1545: 3."
    assert told.steps[1].sentence == sentence


def test_copies_of_an_outcome_are_told_once() -> None:
    once = part("suppressed", reason="opted_out")
    assert len(tell([once, once, once]).steps) == 2


def recorded(run: str) -> dict[str, Rows]:
    """Stories of a recorded run of the gate."""
    groups: dict[str, Rows] = {}
    for record in read_outputs(RUNS / run / "outputs.jsonl.xz").records:
        if record.topic == "outcomes":
            fields = json.loads(record.value or b"")
            name = fields.get("notification_id") or fields.get("origin") or fields["user"]
            groups.setdefault(name, []).append(row(**fields))
    return groups


@pytest.mark.parametrize("run", ["demo", "rules"])
def test_every_recorded_notification_has_a_story(run: str) -> None:
    for rows in recorded(run).values():
        check(tell(rows), rows)


def test_every_reason_with_numbers_is_told_with_its_rule() -> None:
    for rows in by_story(lives()).values():
        check(tell(rows), rows)


def check(story: Story, rows: Rows) -> None:
    """Hold a story against its outcomes: each has one step, in time, and nothing over is waited for."""
    ids = {one["outcome_id"] for one in rows}
    assert {step.outcome_id for step in story.steps} - {""} == ids
    times = [step.at_ms for step in story.steps if step.kind != "event"]
    assert times == sorted(times)
    assert all(step.sentence.endswith(".") for step in story.steps)
    ended = {one["message_id"] for one in rows if one["status"] in ("sent", "suppressed", "dead", "expired")}
    assert not ended & {wait.message_id for wait in story.waits if wait.message_id}
    assert (story.state == "waiting") == bool(story.waits)
    assert msgspec.convert(msgspec.to_builtins(story), Story) == story


STATUSES = st.sampled_from([status.value for status in Status])
ANY_ROW = st.builds(
    part,
    STATUSES,
    st.integers(0, 5),
    channel=st.sampled_from(["*", "sms"]),
    message_id=st.sampled_from(["", M]),
    notification_id=st.sampled_from(["", N]),
    reason=st.sampled_from([reason.value for reason in Reason]),
    rule=st.sampled_from(["", "expiry", "usable", "backoff"]),
    detail=st.dictionaries(st.sampled_from(["due_ms", "into", "error", "zone", "item"]), st.integers(0, 9)),
)


@given(st.lists(ANY_ROW, min_size=1, max_size=6))
def test_whatever_the_outcomes_there_is_a_story(rows: Rows) -> None:
    story = tell(rows)
    assert {step.outcome_id for step in story.steps} - {""} == {one["outcome_id"] for one in rows}


@pytest.mark.parametrize(("of", "named"), [("events/3/1", "of events/3/1."), (M, f"of message {M}.")])
def test_a_replay_says_what_it_replays(of: str, named: str) -> None:
    step = tell([part("suppressed", reason="limit", replay="20261128-1", replay_of=of)]).steps[-1]
    assert step.sentence.endswith(f"This is replay 20261128-1 {named}")
    assert (step.replay, step.replay_of) == ("20261128-1", of)


def letter(origin: str, place: int, reason: str = "bad_expression") -> dict[str, Any]:
    where = {"dead_partition": 1, "dead_offset": place, "bytes": 100 + place}
    of = {"origin": origin, "user": "ann", "last_ms": NOW, "reason": reason}
    return {**of, **where, "stage": "gate", "error": ""}


def test_of_dead_letters_of_a_user_at_one_time_an_event_has_that_of_its_origin() -> None:
    letters = [letter("events/1/0", 5), letter("events/1/11", 22), letter("events/1/12", 23)]
    story = tell(
        [row("dead", reason="bad_expression", origin="events/1/11", user="ann", at_ms=NOW)], letters=letters
    )
    assert story.dead is not None
    assert (story.dead.place, story.dead.size) == ("dead/1/22", 122)


def test_a_dead_message_has_its_own_letter_not_that_of_its_event() -> None:
    letters = [
        letter("events/1/11", 5),
        letter("messages.sms.now/1/3", 6, "expired"),
        letter("messages.push.now/1/3", 7, "rejected"),
    ]
    dead = row("dead", reason="rejected", origin="events/1/11", user="ann", message_id="m", at_ms=NOW)
    story = tell([dead], letters=letters)
    assert story.dead is not None
    assert story.dead.place == "dead/1/7"
