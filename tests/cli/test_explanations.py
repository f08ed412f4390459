"""Every reason has a sentence for people, and the sentence has the numbers of the decision."""

from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.telling import tell
from tests.dashboards.story_rows import row_of
from tests.decision.causes import CAUSES, Cause
from tests.decision.gate_world import DAY, HOUR, MINUTE, RULES, World, profile, with_preferences
from tests.decision.test_replacing import meeting
from tests.decision.test_rules import named
from tests.decision.test_schedule import world
from tocsin.cli.why import tell_story
from tocsin.model.explanations import NUMBERED, explain, fields
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import SENTENCES, Reason

AT = 1_700_000_000_000
SAMPLES: dict[str, Any] = {
    "counter": "channel:sms", "limit": 50, "count": 49, "window_s": 2_592_000.0, "calendar": "month",
    "window_start_ms": AT, "window_end_ms": AT + DAY, "window_start": "22:00", "window_end": "07:00",
    "zone": "Europe/Berlin", "quiet_start": "06:00", "quiet_end": "23:00",
    "send_start": "09:30", "send_end": "20:30", "snoozed_until_ms": AT + 4 * HOUR,
    "due_ms": AT + HOUR, "until_ms": AT + 2 * HOUR, "expires_ms": AT + 3 * HOUR,
    "held_for": "quiet_hours", "original": "events/3/5", "receipt": "opened", "channel": "push",
    "by": "events/3/9", "into": "0a" * 16, "cancelled": 17, "asked": "welcome",
    "gone": "channel", "unmet": "condition", "conditions_of": "order_late",
    "broadcast": "b1", "schedule": "daily", "instead": "daily/2026-05-30T07:00Z",
}  # fmt: skip


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_no_reason_lacks_a_sentence(reason: Reason) -> None:
    assert SENTENCES[reason].endswith(".")
    assert explain(reason.value, {}) == SENTENCES[reason], "without numbers it is the plain one"


def texts() -> Iterator[tuple[Reason, str]]:
    for reason, found in NUMBERED.items():
        yield from ((reason, text) for text in found)


@pytest.mark.parametrize(("reason", "text"), list(texts()))
def test_a_sentence_has_each_number_that_it_promises(reason: Reason, text: str) -> None:
    wanted = fields(text)
    assert wanted, "a sentence without numbers belongs into SENTENCES"
    said = explain(reason.value, {name: SAMPLES[name] for name in wanted})
    assert "{" not in said
    for name in wanted:
        assert shown(name) in said, name


def shown(name: str) -> str:
    """How a person reads a number: only its day and hour where the zone may differ."""
    if name == "window_s":
        return "30 days"
    return "2023-11-1" if name.endswith("_ms") else str(SAMPLES[name])


def test_times_are_told_by_the_clock_that_the_decision_read() -> None:
    said = explain("scheduled", {"due_ms": AT, "zone": "Asia/Tokyo"})
    assert said == "It is held until 2023-11-15 07:13:20 Asia/Tokyo, the time asked for."
    assert explain("scheduled", {"due_ms": AT, "zone": "Mars"}).endswith("22:13:20 UTC, the time asked for.")


def test_a_word_of_a_provider_has_no_sentence_and_an_item_of_a_digest_has_one() -> None:
    assert explain("permanent", {}) == ""
    assert explain("", {}) == ""
    assert explain("", {"into": "0a0a"}) == "It is an item of a digest, whose notification is 0a0a."


WITHOUT_NUMBERS = {"opted_out", "channel_off", "category_off", "notification_off"}
"""Reasons whose detail only says that the user has not chosen."""


@pytest.mark.parametrize("cause", CAUSES, ids=named)
def test_what_a_rule_decides_is_told_with_its_numbers(cause: Cause) -> None:
    verdict = cause.verdict
    assert verdict is not None
    detail = dict(getattr(verdict, "detail", None) or {})
    if hasattr(verdict, "until_ms"):
        detail["due_ms"] = verdict.until_ms
    if not detail or verdict.reason.value in WITHOUT_NUMBERS:
        return
    said = explain(verdict.reason.value, detail)
    assert said != SENTENCES.get(verdict.reason), "the numbers are missing"
    assert said


def lives() -> Iterator[Outcome]:
    """Outcomes of the gate for each reason with numbers, as they are logged."""
    nights = world("nights")
    nights.event("news", at=11 * HOUR, data={"room": "a"})
    nights.event("news", at=11 * HOUR + 1, data={"room": "a"}, expires=12 * HOUR)
    nights.event("news", at=11 * HOUR + 2, data={"room": "a"})
    yield from nights.outcomes
    texts = world("texts", "Asia/Tokyo")
    for hours in (9, 10):
        texts.event("reminder", event_id=f"r{hours}", data=meeting(hours))
    texts.event("reminder", event_id="r9", data=meeting(9))
    texts.event("tocsin.cancel", data={"cancel_key": 7})
    texts.event("news", at=1, data={"room": "a"})
    texts.profile(with_preferences(snoozed_until="2023-11-15T00:00:00Z"), at=2)
    texts.event("news", at=3, data={"room": "b"})
    yield from texts.outcomes
    rules = World("lab", catalog=RULES)
    rules.event("notice.a")
    rules.profile(profile(), at=1)
    for minute in range(1, 7):
        rules.event("pair", at=minute * MINUTE)
    rules.event("notice.a", at=20 * MINUTE, expires=19 * MINUTE)
    yield from rules.outcomes


LIVED = {(one.reason, one.status): one for one in lives() if one.detail}


@pytest.mark.parametrize("one", LIVED.values(), ids=[f"{status}-{reason}" for reason, status in LIVED])
def test_why_tells_the_numbers_of_outcomes(one: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    said = explain(one.reason, one.detail)
    assert said != SENTENCES.get(Reason(one.reason))
    story = tell([row_of(one)])
    assert any(said[1:] in step.sentence for step in story.steps)  # behind another word it begins small
    tell_story(story)
    printed = capsys.readouterr().out
    assert not one.rule or f"by the rule {one.rule}" in printed
    for name, value in one.detail.items():
        if name in (
            "counter",
            "limit",
            "count",
            "window_start",
            "window_end",
            "zone",
            "by",
            "into",
            "original",
        ):
            assert str(value) in said or name == "zone", name
    if "due_ms" in one.detail:
        assert f" {one.detail.get('zone', 'UTC')}" in said


def test_the_lives_have_every_kind() -> None:
    assert {reason for reason, _ in LIVED} >= {
        "quiet_hours", "send_window", "too_late", "collapsed", "scheduled", "rescheduled", "duplicate",
        "cancelled_by_event", "cancel_applied", "snoozed", "awaiting_profile", "limit_hold",
    }  # fmt: skip
    assert all(one.rule for (_, status), one in LIVED.items() if status in ("held", "merged", "expired")
               if one.reason != "awaiting_profile")  # fmt: skip
