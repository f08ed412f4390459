"""Quiet hours of the recipient, or else of the tenant, and the send window of the notification.

Both are daily, in the recipient's time zone. A critical notification passes the quiet hours, which people
set, but keeps to its own send window, which its author set.
"""

from tocsin.decision.daily_span import ends_at
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Hold, Verdict
from tocsin.model.statuses import Reason


def quiet_hours(evaluation: Evaluation) -> Verdict:
    """Hold until the quiet hours end and the send window opens, whichever is later."""
    recipient, notification, now_ms = evaluation.recipient, evaluation.notification, evaluation.now_ms
    quiet, window = recipient.quiet_hours, notification.send_window
    if notification.critical:
        quiet = None
    until_ms = ends_at(recipient.timezone, *quiet, now_ms) if quiet is not None else 0
    if window is not None:
        opens, closes = window
        until_ms = max(until_ms, ends_at(recipient.timezone, closes, opens, now_ms))
    return Hold(until_ms, Reason.QUIET_HOURS) if until_ms else PASS
