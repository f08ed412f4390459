"""Law 2: the same input gives the same decisions, run again and on any number of shards, byte for byte.

Nothing of a record is set aside: under `TOCSIN_CLOCK=stream` every time in a decision (`at_ms`, `decided_ms`,
`event_time_ms`, `expires_ms`, `due_ms` in a detail) is the events' own, and `received_ms` is the Kafka time
that the test writes. Only where Kafka put a record, and when, is not compared.

Order is part of the input, so it is fixed: within a partition by Kafka, between topics by the acts. What is
left out is what has no fixed order: events on another partition than their user's, which are forwarded.
"""

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.laws.acts import Act, a_year, two_acts
from tests.laws.deciding import Decisions, decide, environment_of
from tocsin.app.audit import Audit, Reconciliation
from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.model import topics
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
NIGHT = datetime(
    2013, 2, 8, 4, 30, tzinfo=UTC
)  # quiet hours in New York: much is held when preferences change
_outcome = msgspec.json.Decoder(Outcome).decode
_message = msgspec.json.Decoder(Message).decode


class Runs:
    """Plays acts as often as asked, each time on topics, state and Redis keys of its own."""

    def __init__(self, kafka: str, redis_url: str, folder: Path, prefix: str) -> None:
        self._where = kafka, redis_url
        self._folder = folder
        self._prefix = prefix
        self._stamp_ms = int(time.time() * 1000)
        self._number = 0

    def __call__(self, acts: list[Act], shards: int) -> Decisions:
        self._number += 1
        folder = self._folder / str(self._number)
        env = environment_of(folder, *self._where, f"{self._prefix}{self._number}.")
        return decide(env, folder, acts, shards, self._stamp_ms)


@pytest.fixture
def runs(kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path) -> Runs:
    return Runs(kafka, redis_db, tmp_path, topic_prefix)


def differing(one: Decisions, other: Decisions) -> list[tuple[str, str]]:
    """Name the topics and users about whom two runs do not say the same."""
    return sorted(place for place in one.keys() | other.keys() if one.get(place) != other.get(place))


def said(decisions: Decisions) -> Counter[str]:
    """Count outcomes by status and reason."""
    outcomes = [
        _outcome(record.value or b"")
        for (topic, _), records in decisions.items()
        if topic == topics.OUTCOMES
        for record in records
    ]
    return Counter(word for each in outcomes for word in (each.status, each.reason) if word)


def audited(decisions: Decisions, act: Act) -> Reconciliation:
    """Audit what was decided about an act (law 1): no event without an outcome, none with two final ones."""
    audit, origins = Audit(), set[str]()
    for (topic, _), records in decisions.items():
        for record in records:
            if topic == topics.OUTCOMES:
                outcome = _outcome(record.value or b"")
                audit.outcome(outcome)
                origins.add(outcome.origin)
            elif topic.startswith("messages."):
                audit.message(_message(record.value or b"").message_id)
    assert len(origins) >= len(act.event_records), "each event has an outcome"
    return audit.reconcile()


def test_equal_decisions_again_and_on_three_shards(runs: Runs) -> None:
    data = DemoData(chosen_days(2), 300, seed=2013)
    acts = two_acts(data, NIGHT)
    first, again, on_three = runs(acts, 1), runs(acts, 1), runs(acts, 3)
    assert differing(first, again) == []
    assert differing(first, on_three) == []
    words = said(first)
    assert words["duplicate"] >= data.published.duplicates > 0
    assert words["dead"] >= data.published.broken.total() > 0
    for reason in ("quiet_hours", "limit", "too_late", "opted_out", "snoozed", "erased", "unknown_user"):
        assert words[reason], f"the input met no {reason}: {words}"


@pytest.mark.laws
def test_a_year_of_flights_is_decided_alike_on_one_shard_and_on_three(runs: Runs) -> None:
    """Every twentieth flight of each day: all of summer time, month-long limits and send windows."""
    year = [a_year(200, 20, seed=2013)]
    on_one, on_three = runs(year, 1), runs(year, 3)
    assert differing(on_one, on_three) == []
    days = {int(event.event_time_ms) // 86_400_000 for event in year[0].event_records}
    assert len(days) >= 365
    words = said(on_three)
    assert words["limit"] > 500, words
    for word in ("duplicate_key", "quiet_hours", "send_window", "digest", "merged", "escalation"):
        assert words[word], f"the year met no {word}: {words}"
    assert audited(on_three, year[0]).error == 0
