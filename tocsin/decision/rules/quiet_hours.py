"""Quiet hours of the recipient, or else of the tenant, and the send window of the notification.

Both are daily, in the recipient's time zone. A critical notification passes the quiet hours, which people
set, but keeps to its own send window, which its author set.
"""

from tocsin.decision.daily_span import clock_time, ends_at
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Detail, Hold, Verdict
from tocsin.model.statuses import Reason


def quiet_hours(evaluation: Evaluation) -> Verdict:
    """Hold until the quiet hours end and the send window opens, whichever is later."""
    recipient, notification, now_ms = evaluation.recipient, evaluation.notification, evaluation.now_ms
    quiet, window = recipient.quiet_hours, notification.send_window
    zone, until_ms = recipient.timezone, 0
    if quiet is not None and not notification.critical:
        starts, ends = quiet
        until_ms = ends_at(zone, starts, ends, now_ms)
    if window is not None:
        opens, closes = window
        opens_ms = ends_at(zone, closes, opens, now_ms)
        if opens_ms > until_ms:
            return Hold(opens_ms, Reason.SEND_WINDOW, detail=span(window, zone))
    if not until_ms or quiet is None:
        return PASS
    return Hold(until_ms, Reason.QUIET_HOURS, detail=span(quiet, zone))


def span(minutes: tuple[int, int], zone: str) -> Detail:
    """Write the hours that a decision rests on, for its outcome."""
    start, end = minutes
    return {"window_start": clock_time(start), "window_end": clock_time(end), "zone": zone}
