"""Backoff: the wait before the next attempt of a message that failed for now, or has no receipt yet."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import MessageSubject
from tocsin.decision.verdict import PASS, Hold, Verdict
from tocsin.model.statuses import Reason


def backoff(evaluation: Evaluation) -> Verdict:
    """Hold a returned message until its next attempt is due."""
    due_ms = evaluation.not_before_ms
    if due_ms <= evaluation.now_ms:
        return PASS
    subject = evaluation.subject
    sent = isinstance(subject, MessageSubject) and subject.retry.reason == Reason.AWAITING_RECEIPT
    return Hold(due_ms, Reason.AWAITING_RECEIPT if sent else Reason.RETRY_LATER)
