"""Snooze: the recipient wants nothing until a time. Critical notifications and required categories pass."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Hold, Suppress, Verdict
from tocsin.model.statuses import Reason


def snooze(evaluation: Evaluation) -> Verdict:
    """Hold until the snooze ends, or suppress where the tenant wants that."""
    until_ms = evaluation.recipient.snoozed_until_ms
    if until_ms <= evaluation.now_ms:
        return PASS
    if evaluation.notification.snooze_drops:
        return Suppress(Reason.SNOOZED, {"until_ms": until_ms})
    return Hold(until_ms, Reason.SNOOZED)
