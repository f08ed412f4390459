"""Catalogs in the audit log: each load and refusal once, with the flow's next batch."""

import shutil
from pathlib import Path

import msgspec

from flows.content import CatalogInForce
from flows.load_audit import LoadAudit
from tocsin.app.examples import example_catalog
from tocsin.decision.policy import GatePolicy
from tocsin.model.audit import AuditRecord
from tocsin.model.raw import OutRecord


def entered(audit: LoadAudit) -> list[AuditRecord]:
    records = [record for routed in audit.take() for record in routed.bundle if isinstance(record, OutRecord)]
    assert {(record.topic, record.partition) for record in records} <= {("audit", 3)}
    return [msgspec.json.decode(record.value or b"", type=AuditRecord) for record in records]


def test_a_load_a_refusal_and_the_next_load_are_entered_once_each(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(example_catalog(), folder)
    audit = LoadAudit("gate-3", 3, lambda: 77)
    content = CatalogInForce(folder, GatePolicy(), b"secret-secret-secret", note=audit.note)
    first = content.catalog.version
    (load,) = entered(audit)
    assert (load.action, load.subject, load.at_ms) == ("catalog_loaded", first, 77)
    assert load.actor.startswith("gate-3@")
    assert "default" in load.detail["tenants"]  # type: ignore[operator]  # a list of names
    assert entered(audit) == []
    notifications = next((folder / "notifications").glob("*.yaml"))
    good = notifications.read_text()
    notifications.write_text(good + "\nbroken: [")
    for now_ms in range(0, 60_000, 1_000):
        content.poll(now_ms)
    assert [(one.action, one.subject) for one in entered(audit)] == [("catalog_refused", first)]
    notifications.write_text(good + "\n# a comment\n")
    for now_ms in range(60_000, 120_000, 1_000):
        content.poll(now_ms)
    assert content.problem == ""
