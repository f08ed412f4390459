"""Quiet hours of the recipient, or else of the tenant, and the send window of the notification.

Both are daily, in the recipient's time zone. A critical notification passes the quiet hours, which people
set, but keeps to its own send window, which its author set.
"""

from tocsin.decision.daily_span import ends_at, leaves_time
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.open_hours import hold_until_open, quiet_span, span
from tocsin.decision.verdict import PASS, Detail, Suppress, Verdict
from tocsin.model.statuses import Reason


def quiet_hours(evaluation: Evaluation) -> Verdict:
    """Hold until the quiet hours are over, the send window is open, and some channel may be used.

    Suppress where the quiet hours leave no time of the window: it would be held for ever.
    """
    recipient, notification, now_ms = evaluation.recipient, evaluation.notification, evaluation.now_ms
    quiet, window = recipient.quiet_hours, notification.send_window
    zone, ends_ms = recipient.timezone, 0
    if quiet is not None and not notification.critical:
        starts, ends = quiet
        ends_ms = ends_at(zone, starts, ends, now_ms)
    if window is not None:
        opens, closes = window
        ends_ms = ends_ms or ends_at(zone, closes, opens, now_ms)
        if ends_ms and not notification.critical and not leaves_time(quiet, window):
            return Suppress(Reason.SEND_WINDOW, no_time(window, quiet, zone))
    return hold_until_open(evaluation) if ends_ms else PASS


def no_time(window: tuple[int, int], quiet: tuple[int, int] | None, zone: str) -> Detail:
    """Write the hours of a window of which others leave nothing, for its outcome."""
    return span(window, zone) if quiet is None else span(window, zone) | quiet_span(quiet)
