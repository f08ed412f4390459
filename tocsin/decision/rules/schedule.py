"""Schedule: the event's `tocsinsendat` and the delay of the catalog, whichever is later."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Hold, Verdict
from tocsin.model.statuses import Reason


def schedule(evaluation: Evaluation) -> Verdict:
    """Hold a notification until the time that was asked for."""
    due_ms = evaluation.not_before_ms
    return Hold(due_ms, Reason.SCHEDULED) if due_ms > evaluation.now_ms else PASS
