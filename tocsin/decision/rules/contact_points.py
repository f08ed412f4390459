"""Contact points: there must be one on the channel, and no provider may have refused it."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def usable(evaluation: Evaluation) -> Verdict:
    """Suppress on a channel without an address or device, or for one refused since it was registered."""
    point, blocks = evaluation.contact_point, evaluation.recipient.blocked
    if point is None:
        return Suppress(Reason.NO_CHANNEL)
    if not blocks:
        return PASS
    blocked_ms = blocks.get(point.key)
    if blocked_ms is None or point.registered_ms > blocked_ms:
        return PASS
    return Suppress(Reason.TARGET_BLOCKED)
