"""Digests: a notification that the catalog collects becomes an item of its user's open digest.

The rule stands behind the preferences, so that no digest has an item of somebody who did not want it. It
stands before the limits and the quiet hours: those are about the digest, which is decided when it is due.
"""

from tocsin.decision import digests
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Expire, Verdict
from tocsin.model.statuses import Reason


def digest(evaluation: Evaluation) -> Verdict:
    """Merge a notification into the open digest of its key, or into a new one.

    An item whose event expires before a digest of fixed time is due expires at once.
    """
    terms = evaluation.notification.digest
    if terms is None or terms.overflow_only:
        return PASS
    merge, last_ms = digests.join(evaluation), digests.own_expiry_ms(evaluation)
    if merge is not None and 0 < last_ms < merge.due_ms:
        return Expire(detail={"held_for": Reason.DIGEST.value})
    return merge
