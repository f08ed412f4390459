"""Digests: a notification that the catalog collects becomes an item of its user's open digest.

The rule stands behind the preferences, so that no digest has an item of somebody who did not want it. It
stands before the limits and the quiet hours: those are asked about the digest, when it is due.
"""

from tocsin.decision import digests
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import Verdict


def digest(evaluation: Evaluation) -> Verdict:
    """Merge a notification into the open digest of its key, or into a new one."""
    return digests.join(evaluation)
