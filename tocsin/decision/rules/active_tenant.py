"""Active tenant: of an inactive tenant nothing is sent, not even what was held or admitted before.

The catalog matches no event of an inactive tenant, so this rule meets only what was decided earlier.
"""

from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def active_tenant(evaluation: Evaluation) -> Verdict:
    """Suppress what was held for, or returned to, a tenant that has become inactive."""
    return Suppress(Reason.TENANT_INACTIVE) if evaluation.notification.inactive else PASS
