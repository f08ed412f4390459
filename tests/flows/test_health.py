"""Health checks of a shard: each system that fails has its own."""

from types import SimpleNamespace
from typing import Any

from flows.health import shard_checks
from tocsin.app.health import Severity


class Systems:
    """The systems of a shard, all well."""

    def __init__(self) -> None:
        sentences: dict[object, str] = {}
        self.consumer: Any = SimpleNamespace(
            paused=dict(sentences),
            health=SimpleNamespace(sentences=dict(sentences)),
            gaps=SimpleNamespace(sentences=dict(sentences)),
        )
        self.content: Any = SimpleNamespace(problem="")
        self.writer: Any = SimpleNamespace(problem="")
        self.ledger: Any = SimpleNamespace(up=True)

    def found(self, *, track: bool = True) -> dict[str, list[str]]:
        writer = self.writer if track else None
        report = shard_checks(self.consumer, self.content, writer, self.ledger).report()
        return {name: [fact.sentence for fact in facts] for name, facts in report.facts.items()}


def test_all_is_well() -> None:
    assert Systems().found() == {"kafka": [], "catalog": [], "redis": [], "clickhouse": []}


def test_a_flow_without_outcomes_does_not_check_clickhouse() -> None:
    assert "clickhouse" not in Systems().found(track=False)


def test_each_failure_is_found_by_its_own_check() -> None:
    systems = Systems()
    systems.consumer.paused["events", 0] = "events/0 is paused"
    systems.consumer.health.sentences["bulk"] = "bulk: refused"
    systems.consumer.gaps.sentences["outcomes", 1] = "outcomes/1: deleted"
    systems.content.problem = "a.yaml:3 is wrong"
    systems.writer.problem = "ClickHouse is away"
    systems.ledger.up = False
    assert systems.found() == {
        "kafka": ["events/0 is paused", "bulk: refused", "outcomes/1: deleted"],
        "catalog": ["catalog: a.yaml:3 is wrong"],
        "redis": ["Redis is away: the send ledger cannot be read"],
        "clickhouse": ["ClickHouse is away"],
    }
    report = shard_checks(systems.consumer, systems.content, systems.writer, systems.ledger).report()
    assert not report.healthy
    assert report.sentences(Severity.WARNING) == []
