"""Windows of channels: the hours in which the tenant may use a channel, as a law may set them for SMS.

They are in the recipient's time zone. Only the channel is held; the notification's other channels go on. A
message carries the end of the window in which it was admitted: it may queue for a provider until then.
"""

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision.daily_span import ends_at, leaves_time
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.open_hours import hold_until_open
from tocsin.decision.rules.quiet_hours import no_time
from tocsin.decision.verdict import PASS, Suppress, Verdict
from tocsin.model.statuses import Reason


def channel_window(evaluation: Evaluation) -> Verdict:
    """Hold on one channel until its window is open, and nothing else holds it; not where it reaches nobody.

    Suppress where the quiet hours and the send window leave no time of it: it would be held for ever.
    """
    channel, recipient = evaluation.channel, evaluation.recipient
    if channel is None or channel.window is None:
        return PASS
    window, zone = channel.window, recipient.timezone
    opens, closes = window
    opens_ms = ends_at(zone, closes, opens, evaluation.now_ms)
    if not opens_ms or all(point.channel != channel.name for point in recipient.contact_points):
        return PASS
    notification = evaluation.notification
    quiet = None if notification.critical else recipient.quiet_hours
    windows = (window,) if notification.send_window is None else (window, notification.send_window)
    if not leaves_time(quiet, *windows):
        return Suppress(Reason.SEND_WINDOW, no_time(window, quiet, zone))
    return hold_until_open(evaluation)


def closes_at(channel: CompiledChannel, zone: str, now_ms: int) -> int:
    """Return when the window of a channel closes that is open now; 0 for one that has no window."""
    if channel.window is None:
        return 0
    opens, closes = channel.window  # a call with a star takes twice as long
    return ends_at(zone, opens, closes, now_ms)
