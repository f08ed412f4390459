"""Expiry: nothing is sent after the time of its expiry. At that very millisecond it still is."""

from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.verdict import PASS, Expire, Verdict


def expiry(evaluation: Evaluation) -> Verdict:
    """Expire what is too late. A returned message is judged by the time of its next attempt."""
    expires_ms = evaluation.expires_ms
    if not expires_ms:
        return PASS
    at_ms = evaluation.now_ms
    if evaluation.stage is Stage.RETURNED and evaluation.not_before_ms > at_ms:
        at_ms = evaluation.not_before_ms
    return Expire(detail={"expires_ms": expires_ms}) if at_ms > expires_ms else PASS
