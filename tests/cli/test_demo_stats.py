"""The demo's counts follow the outcomes topic."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cli.demo_stats import DemoStats, percentile
from tocsin.model.outcome import Outcome


def outcome(number: int, status: str, **extra: Any) -> Outcome:
    fields: dict[str, Any] = {
        "channel": "sms",
        "message_id": f"m{number}",
        "at_ms": 0,
        "tenant": "t",
    } | extra
    return Outcome(outcome_id=f"{number}-{status}-{extra.get('attempt', 0)}", status=status, **fields)


def test_a_copy_counts_nothing() -> None:
    stats = DemoStats()
    for _ in range(3):
        stats.add(outcome(1, "admitted"))
    assert (stats.outcomes, stats.statuses["admitted"], stats.in_flight) == (1, 1, 1)


def test_a_final_word_ends_the_flight() -> None:
    stats = DemoStats()
    for one in (
        outcome(1, "admitted"),
        outcome(2, "admitted"),
        outcome(1, "sent", latency_ms=40),
        outcome(2, "dead"),
    ):
        stats.add(one)
    assert stats.in_flight == 0
    assert stats.channels["sms"].words["sent"] == 1
    assert stats.recent() == [40]


def test_what_is_held_is_held_until_another_word() -> None:
    stats = DemoStats()
    stats.add(outcome(1, "held", message_id="", notification_id="n", channel="*"))
    assert stats.held == 1
    stats.add(outcome(2, "admitted", notification_id="n"))
    assert stats.held == 0


def test_reasons_and_stream_time_are_kept() -> None:
    stats = DemoStats()
    stats.add(outcome(1, "suppressed", reason="limit", event_time_ms=7))
    stats.add(outcome(2, "suppressed", reason="limit", event_time_ms=5))
    assert stats.reasons == {"limit": 2}
    assert stats.stream_ms == 7


def test_messages_whose_answer_never_came_are_named() -> None:
    stats = DemoStats()
    stats.add(outcome(1, "retrying", reason="unknown"))
    stats.add(outcome(2, "retrying", reason="transient"))
    assert stats.unknown == {"m1"}


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 3), (0.99, 5)])
def test_percentiles(share: float, expected: int) -> None:
    assert percentile([5, 1, 4, 2, 3], share) == expected


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.5) == 0


@given(st.lists(st.integers(0, 10_000), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[int], share: float) -> None:
    assert percentile(values, share) in values
