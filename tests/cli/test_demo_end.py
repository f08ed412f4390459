"""The end of the demo: a person reads the audit, with or without a live view; a program reads one object."""

import json

import pytest

from tocsin.app.audit import Audit, Reconciliation
from tocsin.cli.demo import conclude


def audited(*, lost: bool) -> Reconciliation:
    audit = Audit()
    audit.event("events/0/7", read=lost)
    return audit.reconcile()


@pytest.mark.parametrize("lost", [False, True])
def test_without_json_the_audit_is_printed(lost: bool, capsys: pytest.CaptureFixture[str]) -> None:
    conclude({}, audited(lost=lost), json=False)
    said = capsys.readouterr().out
    assert ("left no outcome: events/0/7" in said) is lost
    assert ("balanced" in said) is not lost


def test_with_json_stdout_is_one_object_and_faults_are_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    conclude({"events": 1}, audited(lost=True), json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"events": 1}
    assert "events/0/7" in said.err
