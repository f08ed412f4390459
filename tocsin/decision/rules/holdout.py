"""Holdout: the control group of an experiment gets nothing.

It is asked last, so that the group holds only people who would have got it, as the other arms do.
"""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.subjects import EventSubject
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def holdout(evaluation: Evaluation) -> Verdict:
    """Suppress a notification whose user is in an arm that is held out."""
    subject = evaluation.subject
    assert isinstance(subject, EventSubject), "the registry does not ask this rule about returned messages"
    variant = subject.variant
    return Suppress(Reason.HOLDOUT) if variant is not None and variant.holdout else PASS
