"""History decided again by the same catalog gives the same decisions (law 2), in the order of a shard."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from flows.simulation.report import Report
from flows.simulation.simulation import simulate
from sources.history import FolderHistory
from tests.golden.driver import CATALOGS
from tests.simulation.recorded import MemoryHistory, history, request, run
from tocsin.model import topics

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Record a run once, as `tocsin simulate --record` does."""

    @cache
    def recorded(name: str) -> Path:
        settings, lines = run(name)
        place = tmp_path_factory.mktemp(name)
        clock = "stream" if settings.stream_clock else "wall"
        found = history(place / "shard", settings, lines)
        return found.write(place / "history", clock, settings.partitions)

    return recorded


@cache
def _report(folder: Path, name: str) -> Report:
    return simulate(request(folder, run(name)[0]))


def test_days_of_the_demo_differ_in_nothing(folder: Folder) -> None:
    report = _report(folder("demo"), "demo")
    assert report.result.differing == 0, report.result.examples
    assert report.result.equal > 2_000
    assert report.users_before == report.users_after
    assert not any(change.more for change in report.changes)


def test_the_run_of_all_rules_differs_only_in_messages_that_came_back(folder: Folder) -> None:
    """A message that comes back and is sent at once leaves no outcome: its time is Kafka's."""
    report = _report(folder("rules"), "rules")
    assert report.result.differing / report.compared < 0.001, report.result.examples
    assert {each.before for each in report.result.examples} <= {"nothing"}
    assert report.users_before == report.users_after


def test_nearly_all_inputs_are_placed_by_their_outcomes(folder: Folder) -> None:
    result = _report(folder("demo"), "demo").result
    profiles = sum(end - first for first, end in FolderHistory(folder("demo")).bounds["profiles"].values())
    assert result.timed <= profiles + 200
    assert result.ordered > 0.8 * result.inputs


def test_a_range_counts_and_the_time_before_it_warms_up(folder: Folder) -> None:
    """Two processes, each with some of the partitions, find what one finds."""
    whole = _report(folder("demo"), "demo").result.equal
    middle_ms = 1_360_330_000_000
    settings = run("demo")[0]
    late = simulate(request(folder("demo"), settings, since_ms=middle_ms)).result
    early = simulate(request(folder("demo"), settings, until_ms=middle_ms), workers=2).result
    assert late.differing == early.differing == 0
    assert late.equal + early.equal == whole
    assert min(late.equal, early.equal) > 500


def test_another_catalog_gives_the_differences_it_means(folder: Folder, tmp_path: Path) -> None:
    new = _without_email(CATALOGS / "demo", tmp_path / "new")
    report = simulate(request(folder("demo"), run("demo")[0], new))
    fewer = {(each.channel, each.status) for each in report.changes if each.more < 0}
    assert ("email", "admitted") in fewer
    assert {each.channel for each in report.changes if each.more and each.status == "admitted"} == {"email"}
    # The run's returned messages have ids of a former release, so history did not admit them.
    assert {each.status for each in report.changes if each.after and each.channel == "email"} == {"cancelled"}


def test_history_without_outcomes_is_replayed_in_kafka_s_order(folder: Folder, tmp_path: Path) -> None:
    settings, whole = run("demo")[0], FolderHistory(folder("demo"))
    records = [
        each
        for topic in whole.bounds
        if topic != topics.OUTCOMES
        for partition in range(settings.partitions)
        for batch in whole.read(topic, partition)
        for each in batch
    ]
    bare = MemoryHistory(records).write(tmp_path, "stream", settings.partitions)
    report = simulate(request(bare, settings, is_replayed=True))
    assert report.result.differing == 0
    assert report.result.ordered == 0
    assert any("no recorded outcomes" in note for note in report.notes)


def _without_email(catalog: Path, new: Path) -> Path:
    """Copy a catalog, and let no notification go out by mail."""
    for file in catalog.rglob("*"):
        if file.is_file():
            copy = new / file.relative_to(catalog)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text()
            if copy.parent.name == "notifications":
                kept = [line for line in text.splitlines(keepends=True) if "channel: email" not in line]
                text = "".join(kept).replace(", email]", "]").replace("[email, ", "[")
            copy.write_text(text)
    return new
