"""Quiet hours of the recipient, or else of the tenant, and the send window of the notification.

Both are daily, in the recipient's time zone. A critical notification passes them; the registry does not ask.
"""

from tocsin.decision.daily_span import ends_at
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Hold, Verdict
from tocsin.model.statuses import Reason


def quiet_hours(evaluation: Evaluation) -> Verdict:
    """Hold until the quiet hours end and the send window opens, whichever is later."""
    recipient, now_ms = evaluation.recipient, evaluation.now_ms
    quiet, window = recipient.quiet_hours, evaluation.notification.send_window
    until_ms = ends_at(recipient.timezone, *quiet, now_ms) if quiet is not None else 0
    if window is not None:
        opens, closes = window
        until_ms = max(until_ms, ends_at(recipient.timezone, closes, opens, now_ms))
    return Hold(until_ms, Reason.QUIET_HOURS) if until_ms else PASS
