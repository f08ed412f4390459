"""Later steps over the real store: a process that dies at any place decides what one decides that lives."""

from pathlib import Path

import msgspec
import pytest

from tests.operators.test_corrections import Owned
from tests.operators.test_suppressions import HOUR, MINUTE, SECOND, Shard
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome

STEPS = 6


def live(shard: Owned, crash_after: int) -> list[Outcome]:
    """Let three notifications happen, with receipts before, between and after their steps."""

    def done(number: int) -> None:
        if number == crash_after:
            shard.crash()

    shard.event("ann", 0, type="alert", id="a")
    done(0)
    shard.event("ann", SECOND, type="once_seen", id="b")
    shard.event("ann", 2 * SECOND, type="chain", id="c")
    done(1)
    report(shard, "delivered", 2 * MINUTE, "alert")
    done(2)
    report(shard, "opened", 7 * MINUTE, "once_seen")
    done(3)
    report(shard, "read", 20 * MINUTE, "alert")
    done(4)
    shard.event("ann", HOUR, type="plain", id="d")
    done(5)
    shard.event("ann", 2 * HOUR, type="plain", id="e")
    return shard.outcomes()


def report(shard: Owned, kind: str, at: int, notification: str) -> None:
    about = next(one for one in messages(shard) if one.notification == notification)
    ids = {"notification_id": about.notification_id, "message_id": about.message_id}
    shard.report(kind, at, channel=about.channel, notification=notification, **ids)


def messages(shard: Shard) -> list[Message]:
    found = [one.value or b"" for one in shard.published() if one.topic.startswith("messages.")]
    return [msgspec.json.decode(value, type=Message) for value in found]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return live(Owned(tmp_path_factory.mktemp("unbroken") / "shard"), -1)


def test_the_story_has_steps_that_are_sent_stopped_and_dropped(unbroken: list[Outcome]) -> None:
    words = {(one.notification, one.channel, one.status, one.reason) for one in unbroken}
    assert words >= {
        ("alert", "sms", "admitted", ""),
        ("alert", "email", "cancelled", "answered"),
        ("once_seen", "sms", "suppressed", "seen"),
        ("chain", "sms", "admitted", ""),
        ("chain", "email", "admitted", ""),
    }


@pytest.mark.parametrize("place", range(STEPS))
def test_a_crash_changes_no_decision(tmp_path: Path, place: int, unbroken: list[Outcome]) -> None:
    assert live(Owned(tmp_path / "shard"), place) == unbroken
