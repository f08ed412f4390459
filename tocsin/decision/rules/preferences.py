"""Preferences: what the recipient, or else the tenant by default, has switched off.

A notification of a required category passes them; the registry does not ask them about one.
"""

from tocsin.decision import preferences
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Suppress, Verdict


def notification_preferences(evaluation: Evaluation) -> Verdict:
    """Suppress what is switched off as a whole."""
    switched_off, notification = evaluation.recipient.switched_off, evaluation.notification
    if not switched_off:
        return PASS
    reason = preferences.refusal(switched_off, notification.off_notification, notification.off_category)
    return Suppress(reason) if reason else PASS


def channel_preferences(evaluation: Evaluation) -> Verdict:
    """Suppress on one channel what is switched off there."""
    switched_off, channel = evaluation.recipient.switched_off, evaluation.channel
    if not switched_off or channel is None:
        return PASS
    reason = preferences.channel_refusal(switched_off, channel.off_channel, channel.off_category)
    return Suppress(reason) if reason else PASS
