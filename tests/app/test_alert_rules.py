"""The alert rules for Prometheus: their form, and that they name what a process serves."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin.app.metric_defs import AUDIT_METRICS, METRICS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards/prometheus/tocsin-alerts.yaml"
SERVED = {**METRICS, **AUDIT_METRICS}
GIVEN = {"instance", "job"}
"""Labels that Prometheus itself adds."""


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert all(set(group) == {"name", "rules"} for group in groups)
    return [rule for group in groups for rule in group["rules"]]


NAMES = [rule["alert"] for rule in rules()]


@pytest.fixture(params=NAMES)
def rule(request: pytest.FixtureRequest) -> dict[str, Any]:
    return next(each for each in rules() if each["alert"] == request.param)


def test_each_alert_has_one_rule() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_a_rule_has_the_form_that_prometheus_reads(rule: dict[str, Any]) -> None:
    assert {"alert", "expr", "labels", "annotations"} <= set(rule) <= FIELDS
    assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description"}


FIELDS = {"alert", "expr", "for", "labels", "annotations"}


def test_a_rule_asks_for_metrics_and_labels_that_are_served(rule: dict[str, Any]) -> None:
    names = set(re.findall(r"tocsin_\w+", rule["expr"]))
    assert names
    assert names <= SERVED.keys()
    labels = {label for name in names for label in SERVED[name].labels}
    grouped = {each for found in re.findall(r"by \(([^)]*)\)", rule["expr"]) for each in found.split(", ")}
    selected = set(re.findall(r"(\w+)=~?\"", rule["expr"]))
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert grouped | selected <= labels
    assert shown <= (grouped or labels | GIVEN)


def test_a_rule_takes_rates_of_counters_only(rule: dict[str, Any]) -> None:
    counted = set(re.findall(r"(?:rate|increase)\((tocsin_\w+)", rule["expr"]))
    assert all(SERVED[name].kind == "counter" for name in counted)
    named = set(re.findall(r"tocsin_\w+_total", rule["expr"]))
    assert named == counted, "the value of a counter says nothing"


def test_a_description_names_pages_and_commands_that_are_there(rule: dict[str, Any]) -> None:
    said = rule["annotations"]["description"]
    pages, commands = re.findall(r"docs/\w+\.md", said), re.findall(r"`tocsin (\w+)", said)
    assert pages or commands
    assert all((ROOT / page).exists() for page in pages)
    main = (ROOT / "tocsin/cli/main.py").read_text()
    assert all(re.search(rf"\b{command}\b", main) for command in commands)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_takes_the_rules() -> None:
    subprocess.run(["promtool", "check", "rules", RULES], check=True, timeout=30)
