"""Health checks of a shard: each system that fails has its own."""

from types import SimpleNamespace
from typing import Any

from flows.health import shard_checks
from tocsin.app.health import HealthReport, Severity
from tocsin.delivery.breaker import AccountState, Condition


class Systems:
    """The systems of a shard, all well."""

    def __init__(self) -> None:
        sentences: dict[object, str] = {}
        self.consumer: Any = SimpleNamespace(
            paused=dict(sentences),
            health=SimpleNamespace(sentences=dict(sentences)),
            gaps=SimpleNamespace(sentences=dict(sentences)),
            waiting=SimpleNamespace(sentences=dict(sentences)),
        )
        self.content: Any = SimpleNamespace(problem="", tenant_problem="")
        self.writer: Any = SimpleNamespace(problem="")
        self.ledger: Any = SimpleNamespace(up=True, away=False)
        self.channels: Any = {}
        self.still_s = 0.0

    def report(self, *, track: bool = True) -> HealthReport:
        writer = self.writer if track else None
        parts = (self.consumer, self.content, writer, self.ledger, self.channels)
        return shard_checks(*parts, lambda: self.still_s).report()

    def found(self, *, track: bool = True) -> dict[str, list[str]]:
        facts = self.report(track=track).facts
        return {name: [fact.sentence for fact in found] for name, found in facts.items()}


def test_all_is_well() -> None:
    names = ("flow", "kafka", "catalog", "tenants", "redis", "clickhouse")
    assert Systems().found() == {name: [] for name in names}


def test_a_flow_without_outcomes_does_not_check_clickhouse() -> None:
    assert "clickhouse" not in Systems().found(track=False)


def test_each_failure_is_found_by_its_own_check() -> None:
    systems = Systems()
    systems.consumer.paused["events", 0] = "events/0 is paused"
    systems.consumer.health.sentences["bulk"] = "bulk: refused"
    systems.consumer.gaps.sentences["outcomes", 1] = "outcomes/1: deleted"
    systems.content.problem = "a.yaml:3 is wrong"
    systems.content.tenant_problem = "tenant acme keeps catalog 1"
    systems.writer.problem = "ClickHouse is away"
    systems.ledger.up = False
    systems.ledger.away = True
    systems.still_s = 61
    assert systems.found() == {
        "flow": ["the flow stands still: its last epoch ended 61 s ago; restart the process"],
        "kafka": ["events/0 is paused", "bulk: refused", "outcomes/1: deleted"],
        "catalog": ["catalog: a.yaml:3 is wrong"],
        "tenants": ["tenant acme keeps catalog 1"],
        "redis": ["Redis is away: the send ledger cannot be read"],
        "clickhouse": ["ClickHouse is away"],
    }
    assert not systems.report().healthy
    assert systems.report().sentences(Severity.WARNING) == [
        "tenant acme keeps catalog 1",
        "ClickHouse is away",
    ]


def test_what_a_restart_does_not_help_and_stops_no_send_fails_no_probe() -> None:
    systems = Systems()
    systems.writer.problem = "ClickHouse is away"
    systems.ledger.up = False  # and messages go out without it
    disabled = {"mail": Condition(AccountState.DISABLED, "401", 1_000)}
    systems.channels = {"email": SimpleNamespace(gauges=lambda: SimpleNamespace(accounts=disabled))}
    report = systems.report()
    assert (report.healthy, report.alive) == (True, True)
    assert len(report.sentences(Severity.WARNING)) == 3


def test_only_a_flow_that_stands_still_is_not_alive() -> None:
    systems = Systems()
    systems.consumer.health.sentences["bulk"] = "bulk: Kafka does not answer"
    assert (systems.report().healthy, systems.report().alive) == (False, True)
    systems.still_s = 61
    assert not systems.report().alive


def test_each_account_that_is_not_ok_is_named_with_its_code_and_since_when() -> None:
    conditions = {
        "mail": Condition(AccountState.DISABLED, "401", 1_000),
        "text": Condition(AccountState.SUSPECT, "", 2_000),
        "push": Condition(AccountState.OK),
    }
    systems = Systems()
    gauges = SimpleNamespace(accounts=conditions)
    systems.channels = {"any": SimpleNamespace(gauges=lambda: gauges)}
    assert systems.found()["accounts"] == [
        "account mail is disabled since 1970-01-01T00:00:01+00:00 (401):"
        " fix its credentials, rights or settings",
        "account text is suspect since 1970-01-01T00:00:02+00:00:"
        " its calls fail, it is probed until one succeeds",
    ]
