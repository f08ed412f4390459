"""Preferences: what the recipient has switched off, or else the tenant by default.

A notification of a required category passes them; the registry does not ask them about one.
"""

from collections.abc import Sequence
from typing import Final

from tocsin.catalog.defaults import DefaultOff
from tocsin.decision import preferences
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.verdict import PASS, Detail, Suppress, Verdict
from tocsin.model.statuses import Reason
from tocsin.model.switches import ALL_OFF

_BY_DEFAULT: Final[Detail] = {"by": "default"}


def notification_preferences(evaluation: Evaluation) -> Verdict:
    """Suppress what is switched off as a whole."""
    switched_off, notification = evaluation.recipient.switched_off, evaluation.notification
    own, category = notification.off_notification, notification.off_category
    # Most pass: what refuses is found out only where something does.
    if switched_off and (own in switched_off or category in switched_off or ALL_OFF in switched_off):
        return Suppress(preferences.refusal(switched_off, own, category))
    defaults = notification.off_by_default
    return _by_default(evaluation, defaults) if defaults else PASS


def channel_preferences(evaluation: Evaluation) -> Verdict:
    """Suppress on one channel what is switched off there."""
    switched_off, channel = evaluation.recipient.switched_off, evaluation.channel
    if channel is None:
        return PASS
    if switched_off:
        every, category, own = channel.off_channel, channel.off_category, channel.off_notification
        if own in switched_off or category in switched_off or every in switched_off:
            return Suppress(preferences.channel_refusal(switched_off, every, category, own))
    defaults = channel.off_by_default
    return _by_default(evaluation, defaults) if defaults else PASS


def _by_default(evaluation: Evaluation, defaults: Sequence[DefaultOff]) -> Verdict:
    chosen = evaluation.recipient.switched_on
    reason = preferences.default_refusal(defaults, chosen) if chosen is not None else Reason.NONE
    return Suppress(reason, _BY_DEFAULT) if reason else PASS
