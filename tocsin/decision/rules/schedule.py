"""Schedule: `tocsinsendat` of the event, `delay` and `at` of the catalog, whichever is latest."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Detail, Hold, Verdict
from tocsin.model.statuses import Reason

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_SCHEDULED = Reason.SCHEDULED


def schedule(evaluation: Evaluation) -> Verdict:
    """Hold a notification until the time that was asked for."""
    due_ms = evaluation.not_before_ms
    if due_ms <= evaluation.now_ms:
        return PASS
    at = evaluation.notification.at
    detail: Detail = {} if at is None else {"zone": at.zone or evaluation.recipient.timezone}
    return Hold(due_ms, _SCHEDULED, detail=detail or None)
