"""What a person reads of a story: values of producers stay as they are, whatever they look like."""

from typing import Any

import pytest

from dashboards.telling import tell
from tests.dashboards.story_rows import row
from tocsin.cli.why import tell_story

MARKUP = ["order[eu].shipped", "order[/eu].shipped", "[bold]", "a:warning:b", "ends in \\"]


def printed(capsys: pytest.CaptureFixture[str], **fields: Any) -> str:
    tell_story(tell([row(**{"origin": "events/0/1", **fields})]))
    return capsys.readouterr().out


@pytest.mark.parametrize("name", MARKUP)
@pytest.mark.parametrize("field", ["event_type", "notification", "origin", "channel", "provider", "status"])
def test_a_value_is_told_letter_by_letter(field: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"status": "sent", field: name} if field == "provider" else {field: name}
    assert name in printed(capsys, **fields)


@pytest.mark.parametrize("name", MARKUP)
def test_a_detail_is_told_letter_by_letter(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"counter {name}, limit 5" in printed(capsys, detail={"counter": name, "limit": 5})


def test_a_reason_has_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, reason="snoozed")
    assert "It is not sent: the user snoozed notifications until later." in said


def test_a_reason_of_a_provider_s_own_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert "It bounced. Its reason: permanent [/5.1.1]." in printed(
        capsys, status="bounced", reason="permanent [/5.1.1]"
    )


def test_an_outcome_names_its_target_as_unblock_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(
        capsys,
        status="admitted",
        notification="flight_landed",
        notification_id="n",
        message_id="m",
        channel="sms",
        target="45cca7fde80bee5d",
    )
    assert "On sms, no rule objects: a message to target 45cca7fde80bee5d is written." in said


def test_a_story_names_the_arm_of_an_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert "offer (variant cheerful)" in printed(capsys, notification="offer", variant="cheerful")


def test_the_time_that_something_is_held_until_is_one_that_a_person_reads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "due 2013-02-08 11:30:00\n" in printed(capsys, status="held", detail={"due_ms": 1_360_323_000_001})


def test_a_day_and_the_rules_that_passed_stand_once(capsys: pytest.CaptureFixture[str]) -> None:
    both = {"status": "admitted", "notification": "offer", "notification_id": "n", "origin": "events/0/1"}
    day_ms = 1_360_323_000_000
    rows = [
        row(**both, channel=name, message_id=name, at_ms=day_ms + step)
        for step, name in enumerate(("sms", "push", "email"))
    ]
    tell_story(tell([*rows, row(**both, channel="inapp", message_id="late", at_ms=day_ms + 86_400_000)]))
    said = capsys.readouterr().out
    assert said.count("passed: ") == 1
    assert said.count("    2013-02-08 11:30:00  admitted") == 1
    assert said.count("               11:30:00  admitted") == 2
    assert "    2013-02-09 11:30:00  admitted" in said


def test_the_time_of_an_event_is_told_where_it_came_in_later(capsys: pytest.CaptureFixture[str]) -> None:
    at_ms = 1_360_323_000_000
    times = {"event_type": "sold", "at_ms": at_ms, "received_ms": at_ms}
    assert "it happened at" not in printed(capsys, event_time_ms=at_ms, **times)
    assert "it happened at 2013-02-08 11:29:00." in printed(capsys, event_time_ms=at_ms - 60_000, **times)


def test_two_sentences_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    hours = {
        "window_start": "22:00",
        "window_end": "07:00",
        "zone": "Europe/Vienna",
        "due_ms": 1_360_303_200_000,
    }
    said = " ".join(printed(capsys, status="held", reason="quiet_hours", channel="sms", detail=hours).split())
    assert (
        "On sms, the quiet hours are 22:00 to 07:00 in Europe/Vienna; it is held until 2013-02-08 07:00:00."
        in said
    )
    said = printed(capsys, status="held", reason="digest", detail={"due_ms": 1_360_323_000_000})
    assert "It is held: it collects items until 2013-02-08 11:30:00." in said


@pytest.mark.parametrize(
    ("reason", "untrue"),
    [
        ("no_channel", "any channel"),
        ("channel_off", "every channel"),
        ("misconfigured", "The provider account"),
    ],
)
def test_a_sentence_fits_one_channel_and_an_account_that_is_missing(
    reason: str, untrue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, reason=reason, channel="sms")
    assert reason in said
    assert untrue not in said
