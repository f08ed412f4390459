"""The e-mail channel: providers like SendGrid, or an SMTP server."""

from collections.abc import Callable
from typing import Literal

from bytewax.dataflow import operator
from bytewax.operators import KeyedStream

from models.raw import OutRecord, RawRecord
from models.statuses import Channel
from operators.deliver import Done, deliver
from operators.delivery_channel import ChannelDelivery, ChannelPolicy, channel_policy

# SMTP servers may take tens of seconds to check a message before they answer.
_TIMEOUT_S = 30.0


def email_policy(*, in_flight: int = 512, on_unknown: Literal["resend", "drop"] = "resend") -> ChannelPolicy:
    """Give the policy of the channel's delivery, with `in_flight` calls at once."""
    return channel_policy(Channel.EMAIL, timeout_s=_TIMEOUT_S, in_flight=in_flight, on_unknown=on_unknown)


@operator
def email_sink(
    step_id: str,
    up: KeyedStream[list[RawRecord]],
    *,
    channel: ChannelDelivery,
    done: Done,
    in_gap: Callable[[], bool],
) -> KeyedStream[list[OutRecord]]:
    """Deliver e-mail: arguments and guarantees are those of `operators.deliver.deliver`."""
    return deliver("deliver", up, channel=channel, done=done, in_gap=in_gap)
