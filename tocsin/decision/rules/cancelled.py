"""Cancelled: an event has cancelled a message since it was admitted. It still queued for a provider then.

What is held ends with the cancel event itself; this rule meets only messages that return.
"""

from tocsin.decision.called_back import cancelled_by
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import MessageSubject
from tocsin.decision.verdict import PASS, Cancel, Verdict
from tocsin.model.statuses import Reason


def cancelled(evaluation: Evaluation) -> Verdict:
    """Cancel a returned message that a cancel event names; the detail names that event."""
    subject, state = evaluation.subject, evaluation.state
    if not state.cancelled or not isinstance(subject, MessageSubject):
        return PASS
    by = cancelled_by(state, subject.retry.message)
    return Cancel(Reason.CANCELLED_BY_EVENT, {"by": by}) if by else PASS
