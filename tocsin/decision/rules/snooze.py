"""Snooze: the recipient wants nothing until a time. Critical notifications and required categories pass."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.open_hours import hold_until_open
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def snooze(evaluation: Evaluation) -> Verdict:
    """Hold until the snooze is over and no other hours hold it, or suppress where the tenant wants that."""
    until_ms = evaluation.recipient.snoozed_until_ms
    if until_ms <= evaluation.now_ms:
        return PASS
    if evaluation.notification.snooze_drops:
        return Suppress(Reason.SNOOZED, {"until_ms": until_ms})
    return hold_until_open(evaluation)
