"""The words for later steps: compiled as written, and every mistake with its place and cure."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, folder, problems
from tocsin.catalog import loader as catalog
from tocsin.catalog.compile import CompiledNotification
from tocsin.model.engagement import Level

TWO = NOTICE.replace("[email]", "[push, email]")


def compiled(path: Path, words: str, notice: str = NOTICE) -> CompiledNotification:
    found = catalog.load(folder(path, notifications__all=notice + words)).notification("default", "hello")
    assert found is not None
    return found


def test_steps_are_compiled_one_for_each_channel(tmp_path: Path) -> None:
    words = """  escalate:
    - {after: 10m, unless: opened, channels: [sms, push]}
    - {after: 1h, unless: read, channels: [inapp]}
"""
    found = compiled(tmp_path, words)
    assert [(step.after_ms, step.unless, step.channel.name) for step in found.steps] == [
        (600_000, Level.OPENED, "sms"),
        (600_000, Level.OPENED, "push"),
        (3_600_000, Level.READ, "inapp"),
    ]
    assert (found.tracked, found.stop_when_seen, found.sequence) == (True, False, None)
    assert [channel.name for channel in found.all_channels] == ["email", "sms", "push", "inapp"]


def test_a_limit_of_a_channel_holds_for_a_step_on_it(tmp_path: Path) -> None:
    words = """  limits: [{max: 2, per: 1d, scope: channel, channel: sms}]
  escalate: [{after: 10m, unless: opened, channels: [sms]}]
"""
    sms = compiled(tmp_path, words).channel("sms")
    assert sms is not None
    assert [cap.max for cap in sms.caps] == [50, 2], "the default limit of texts, and its own"
    assert [counter.name for counter in sms.counters] == ["channel:sms"]


def test_a_sequence_and_a_stop(tmp_path: Path) -> None:
    words = "  sequence: {every: 5m, until: clicked}\n  stop_when_seen: true\n"
    found = compiled(tmp_path, words, TWO)
    assert (found.sequence, found.stop_when_seen, found.tracked) == ((300_000, Level.CLICKED), True, True)


def test_a_notification_without_these_words_is_not_tracked(tmp_path: Path) -> None:
    assert not compiled(tmp_path, "").tracked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "escalate: [{after: 1m, unless: sent, channels: [sms]}]",
            "5: `unless: sent` is not allowed, write one of 'delivered', 'opened', 'clicked' or 'read'",
        ),
        (
            "escalate: [{after: 1m, unless: read}]",
            "5: `channels` is missing, add it",
        ),
        (
            "escalate: [{after: 1m, unless: read, channels: [email]}]",
            "5: `email` has gone out before, and each channel goes out once: name another one",
        ),
        (
            "escalate: [{after: 1m, unless: read, channels: [sms, sms]}]",
            "5: `sms` has gone out before, and each channel goes out once: name another one",
        ),
        (
            "escalate: [{after: 1m, unless: read, channels: [smss]}]",
            "5: `smss` is no channel, did you mean `sms`?",
        ),
        (
            "escalate:\n    - {after: 2m, unless: read, channels: [sms]}\n"
            "    - {after: 1m, unless: read, channels: [push]}",
            "7: it comes before the step above it: write the steps in the order of `after`",
        ),
        (
            "expires: 1h\n  escalate: [{after: 2h, unless: read, channels: [sms]}]",
            "6: it has expired by then, so this step is never sent: shorten it or raise `expires`",
        ),
        (
            "sequence: {every: 1m, until: read}",
            "5: there is one channel, so nothing follows it: add a channel or remove `sequence`",
        ),
        (
            "sequence: {every: 1m, until: read}\n  escalate: [{after: 1m, unless: read, channels: [sms]}]",
            "5: `sequence` and `escalate` both say when channels go out: keep one of them",
        ),
    ],
)
def test_mistakes(tmp_path: Path, words: str, expected: str) -> None:
    found = problems(tmp_path, notifications__all=f"{NOTICE}  {words}\n")
    assert f"notifications/all.yaml:{expected}" in found


def test_a_sequence_that_outlives_its_notification(tmp_path: Path) -> None:
    words = "  expires: 4m\n  sequence: {every: 5m, until: read}\n"
    assert problems(tmp_path, notifications__all=TWO + words) == [
        "notifications/all.yaml:6: the notification has expired before the last channel: shorten `every` or"
        " raise `expires`"
    ]


def test_a_limit_may_name_the_channel_of_a_step(tmp_path: Path) -> None:
    words = """  limits: [{max: 2, per: 1d, scope: channel, channel: sms}]
  escalate: [{after: 10m, unless: opened, channels: [sms]}]
"""
    assert problems(tmp_path, notifications__all=NOTICE + words) == []
