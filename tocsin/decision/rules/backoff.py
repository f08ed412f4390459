"""Backoff: the wait before the next attempt of a message that failed for now."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Hold, Verdict
from tocsin.model.statuses import Reason


def backoff(evaluation: Evaluation) -> Verdict:
    """Hold a returned message until its next attempt is due."""
    due_ms = evaluation.not_before_ms
    return Hold(due_ms, Reason.RETRY_LATER) if due_ms > evaluation.now_ms else PASS
