"""Contact points: there must be one on the channel, and no provider may have refused it."""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def reachable(evaluation: Evaluation) -> Verdict:
    """Suppress on a channel where the recipient has no address or device (any more)."""
    return PASS if evaluation.contact_point is not None else Suppress(Reason.NO_CHANNEL)


def blocked(evaluation: Evaluation) -> Verdict:
    """Suppress for a contact point that a provider refused since it was registered."""
    blocks, point = evaluation.recipient.blocked, evaluation.contact_point
    if not blocks or point is None:
        return PASS
    blocked_ms = blocks.get(point.key)
    if blocked_ms is None or point.registered_ms > blocked_ms:
        return PASS
    return Suppress(Reason.TARGET_BLOCKED)
