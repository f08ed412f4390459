"""The audit as metrics, and the alerts on them: they fire on a fault and on silence, and on nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tocsin.app.audit import Audit
from tocsin.app.audit_facts import EventFact
from tocsin.app.audit_result import Reconciliation
from tocsin.app.metric_defs import AUDIT_METRICS
from tocsin.cli.balance_watch import AuditMetrics

ALERTS = Path(__file__).parents[2] / "dashboards/prometheus/tocsin-alerts.yaml"
NOW = 1_700_000_000.0


def drawn(*, lost: int = 0, unread: int = 0) -> Reconciliation:
    audit = Audit()
    for offset in range(lost):
        audit.enter(EventFact(f"events/0/{offset}", True, round(NOW * 1_000) - 60_000 * (offset + 1)))
    for offset in range(unread):
        audit.event(f"events/1/{offset}", read=False)
    return audit.reconcile()


def served(metrics: AuditMetrics) -> dict[str, Any]:
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {family.name: family for family in families if not family.name.endswith("_created")}


def values(metrics: AuditMetrics) -> dict[str, float]:
    """The samples without labels, by name."""
    return {
        sample.name: sample.value
        for family in served(metrics).values()
        for sample in family.samples
        if not sample.labels
    }


def test_what_is_served_is_what_is_defined() -> None:
    metrics = AuditMetrics()
    metrics.update(drawn(), NOW, NOW + 2)
    found = served(metrics)
    assert set(found) == {name.removesuffix("_total") for name in AUDIT_METRICS}
    for name, defined in AUDIT_METRICS.items():
        family = found[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (defined.kind, defined.help)
        assert {label for sample in family.samples for label in sample.labels} == set(defined.labels)


def test_the_values_are_those_of_the_last_audit() -> None:
    metrics = AuditMetrics()
    metrics.update(drawn(lost=2, unread=3), NOW, NOW + 2)
    assert values(metrics) == {
        "tocsin_balance_error": 2,
        "tocsin_balance_oldest_unexplained_seconds": 122,
        "tocsin_balance_last_run_timestamp_seconds": NOW,
        "tocsin_balance_run_seconds": 2,
        "tocsin_balance_failed_runs_total": 0,
    }
    events = {
        sample.labels["state"]: sample.value for sample in served(metrics)["tocsin_balance_events"].samples
    }
    assert events == {"settled": 0, "held": 0, "in_flight": 0, "unread": 3}
    metrics.update(drawn(), NOW + 300, NOW + 301)
    assert (
        values(metrics)["tocsin_balance_error"]
        == values(metrics)["tocsin_balance_oldest_unexplained_seconds"]
        == 0
    )


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    audit = [group for group in groups if group["name"] == "tocsin-audit"]
    return {rule["alert"]: rule for group in audit for rule in group["rules"]}


EXPRESSION = re.compile(r"(?P<age>time\(\) - )?(?P<metric>\w+) > (?P<bound>\d+)|absent\((?P<absent>\w+)\)")


def firing(found: dict[str, float], now_s: float) -> set[str]:
    """Name the alerts that fire, by the few forms of expressions that the file has."""
    return {name for name, rule in rules().items() if _holds(rule["expr"], found, now_s)}


def _holds(text: str, found: dict[str, float], now_s: float) -> bool:
    matched = EXPRESSION.fullmatch(text)
    assert matched is not None, f"teach this test the form of {text!r}"
    if matched["absent"]:
        return matched["absent"] not in found
    if matched["metric"] not in found:
        return False
    value = found[matched["metric"]]
    return (now_s - value if matched["age"] else value) > float(matched["bound"])


def test_alerts_fire_on_a_fault_and_on_silence_and_on_nothing_else() -> None:
    metrics = AuditMetrics()
    metrics.update(drawn(unread=1), NOW, NOW + 2)
    assert firing(values(metrics), NOW + 60) == set()
    assert firing(values(metrics), NOW + 3_600) == {"TocsinAuditStands"}
    metrics.update(drawn(lost=1), NOW, NOW + 2)
    assert firing(values(metrics), NOW + 60) == {"TocsinEventLostOrDoubled"}
    assert firing({}, NOW) == {"TocsinAuditGone"}


@pytest.mark.parametrize("name", ["TocsinEventLostOrDoubled", "TocsinAuditStands", "TocsinAuditGone"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = rules()[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert {"summary", "description"} == set(rule["annotations"])
    assert "tocsin balance" in rule["annotations"]["description"]
    metrics = set(re.findall(r"tocsin_\w+", rule["expr"]))
    assert metrics <= set(AUDIT_METRICS)
