"""The mobile push channel: FCM and APNs."""

from collections.abc import Callable
from typing import Literal

from bytewax.dataflow import operator
from bytewax.operators import KeyedStream

from models.raw import OutRecord, RawRecord
from models.statuses import Channel
from operators.deliver import Done, deliver
from operators.delivery_channel import ChannelDelivery, ChannelPolicy, channel_policy

# A push that is not taken at once is worth a retry rather than a wait.
_TIMEOUT_S = 5.0


def push_policy(*, in_flight: int = 512, on_unknown: Literal["resend", "drop"] = "resend") -> ChannelPolicy:
    """Give the policy of the channel's delivery, with `in_flight` calls at once."""
    return channel_policy(Channel.PUSH, timeout_s=_TIMEOUT_S, in_flight=in_flight, on_unknown=on_unknown)


@operator
def push_sink(
    step_id: str,
    up: KeyedStream[list[RawRecord]],
    *,
    channel: ChannelDelivery,
    done: Done,
    in_gap: Callable[[], bool],
) -> KeyedStream[list[OutRecord]]:
    """Deliver push notifications: arguments and guarantees are those of `operators.deliver.deliver`."""
    return deliver("deliver", up, channel=channel, done=done, in_gap=in_gap)
