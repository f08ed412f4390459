"""Quiet hours of the recipient, or else of the tenant, and the send window of the notification.

Both are daily, in the recipient's time zone. A critical notification passes the quiet hours, which people
set, but keeps to its own send window, which its author set.
"""

from tocsin.decision.daily_span import clock_time, ends_at, leaves_time
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Detail, Hold, Suppress, Verdict
from tocsin.model.statuses import Reason


def quiet_hours(evaluation: Evaluation) -> Verdict:
    """Hold until the quiet hours end and the send window opens, whichever is later.

    Suppress where the quiet hours leave no time of the window: it would be held for ever.
    """
    recipient, notification, now_ms = evaluation.recipient, evaluation.notification, evaluation.now_ms
    quiet, window = recipient.quiet_hours, notification.send_window
    zone, until_ms = recipient.timezone, 0
    if quiet is not None and not notification.critical:
        starts, ends = quiet
        until_ms = ends_at(zone, starts, ends, now_ms)
    if window is not None:
        opens, closes = window
        opens_ms = ends_at(zone, closes, opens, now_ms)
        if (opens_ms or until_ms) and not notification.critical and not leaves_time(quiet, window):
            return Suppress(Reason.SEND_WINDOW, no_time(window, quiet, zone))
        if opens_ms > until_ms:
            return Hold(opens_ms, Reason.SEND_WINDOW, detail=span(window, zone))
    if not until_ms or quiet is None:
        return PASS
    return Hold(until_ms, Reason.QUIET_HOURS, detail=span(quiet, zone))


def no_time(window: tuple[int, int], quiet: tuple[int, int] | None, zone: str) -> Detail:
    """Write the hours of a window of which others leave nothing, for its outcome."""
    if quiet is None:
        return span(window, zone)
    start, end = quiet
    return span(window, zone) | {"quiet_start": clock_time(start), "quiet_end": clock_time(end)}


def span(minutes: tuple[int, int], zone: str) -> Detail:
    """Write the hours that a decision rests on, for its outcome."""
    start, end = minutes
    return {"window_start": clock_time(start), "window_end": clock_time(end), "zone": zone}
