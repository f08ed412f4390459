"""Recorded runs give the same decisions and ids as when they were recorded; see README.md."""

from functools import cache
from pathlib import Path

import pytest

from tests.golden import compare, translate, wire
from tests.golden.record import PLANS, replay


@cache
def stored(name: str) -> tuple[wire.Settings, list[wire.Line], wire.Outputs]:
    folder = wire.RUNS / name
    return *wire.read_inputs(folder / "inputs.jsonl.xz"), wire.read_outputs(folder / "outputs.jsonl.xz")


@pytest.mark.parametrize("name", PLANS)
def test_a_recorded_run_gives_the_same_decisions_and_ids(name: str, tmp_path: Path) -> None:
    settings, lines, recorded = stored(name)
    got = translate.comparable(replay(tmp_path / "shard", settings, lines).records)
    story = compare.difference(lines, translate.expected(recorded.records), got)
    assert not story, f"run {name}: {story}"


def test_a_difference_is_told_by_the_story_of_one_user() -> None:
    _, lines, recorded = stored("demo")
    changed = list(recorded.records)
    at = next(number for number, one in enumerate(changed) if b'"status":"suppressed"' in (one.value or b""))
    changed[at] = changed[at]._replace(value=(changed[at].value or b"").replace(b"suppressed", b"admitted"))
    story = compare.difference(lines, recorded.records, changed)
    assert "1 users differ" in story
    assert "value.status: expected 'suppressed', got 'admitted'" in story
    assert "the story of default/passenger-" in story


def test_the_order_of_one_user_s_outcomes_counts() -> None:
    _, lines, recorded = stored("demo")
    places = [number for number, one in enumerate(recorded.records) if one.topic == "outcomes"]
    user = recorded.records[places[0]].key
    first, second, *_ = [at for at in places if recorded.records[at].key == user]
    changed = list(recorded.records)
    changed[first], changed[second] = changed[second], changed[first]
    assert "totals by topic, status and reason are equal" in compare.difference(
        lines, recorded.records, changed
    )
