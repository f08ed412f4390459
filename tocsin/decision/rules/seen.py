"""Receipts that make a message needless: a later step, or a channel whose notification was seen elsewhere.

A receipt drops what the gate holds when it comes. These rules catch what a receipt cannot reach: messages
that queued for a provider, and steps whose receipt came before them.
"""

from tocsin.decision import engagement
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import EventSubject
from tocsin.decision.verdict import PASS, Cancel, Suppress, Verdict
from tocsin.model.engagement import Level
from tocsin.model.statuses import Reason


def answered(evaluation: Evaluation) -> Verdict:
    """Cancel a later step whose notification has got as far as the step asks."""
    subject, entries = evaluation.subject, evaluation.state.engaged
    assert isinstance(subject, EventSubject), "the registry asks this rule about parts only"
    known = engagement.find(entries, subject.notification_id) if subject.unless and entries else None
    if known is None or known.level < subject.unless:
        return PASS
    return Cancel(Reason.ANSWERED, {"receipt": known.level.label})


def seen(evaluation: Evaluation) -> Verdict:
    """Suppress on other channels what the user has seen on one, where the catalog asks for it."""
    entries = evaluation.state.engaged
    known = engagement.find(entries, evaluation.subject.notification_id) if entries else None
    if known is None or not known.stops or known.level < Level.OPENED:
        return PASS
    return Suppress(Reason.SEEN, {"receipt": known.level.label})
