"""Schedule: `tocsinsendat` of the event, `delay` and `at` of the catalog, whichever is latest."""

from tocsin.catalog.schedule import CompiledAt
from tocsin.decision.asked_time import asked_time, goes_by_own_clock
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import EventSubject
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
    if at is None:
        return Hold(due_ms, _SCHEDULED)
    detail: Detail = {"zone": at.zone or evaluation.recipient.timezone}
    return Hold(due_ms, _SCHEDULED, detail=detail, by_clock=_by_clock(evaluation, at))


def _by_clock(evaluation: Evaluation, at: CompiledAt) -> bool:
    """Tell whether it is the recipient's own clock that gives the time, and nothing asks for a later one."""
    subject, zone = evaluation.subject, evaluation.recipient.timezone
    assert isinstance(subject, EventSubject), "a returned message waits for no schedule"
    found = subject.match.at
    if not goes_by_own_clock(at, found):
        return False
    return asked_time(at, found, subject.event.time_ms, zone).at_ms == evaluation.not_before_ms
