"""The channel sink operators: e-mail, SMS, mobile push, in-app. They differ in how long a call may take."""

from collections.abc import Callable, Mapping
from typing import Literal

from bytewax.dataflow import operator
from bytewax.operators import KeyedStream

from operators.deliver import Done, deliver
from operators.delivery_channel import ChannelDelivery, ChannelPolicy, channel_policy
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel

TIMEOUT_S: Mapping[Channel, float] = {
    # SMTP servers may take tens of seconds to check a message before they answer.
    Channel.EMAIL: 30.0,
    # Gateways queue at once; the seeds promise 30 s from the event to the provider.
    Channel.SMS: 15.0,
    # A push that is not taken at once is worth a retry rather than a wait.
    Channel.PUSH: 5.0,
    # The inbox is a local server: slower than this is as good as away.
    Channel.INAPP: 5.0,
}
"""The channels that are delivered, each with the longest call (s)."""


def sink_policy(
    channel: Channel, *, in_flight: int = 512, on_unknown: Literal["resend", "drop"] = "resend"
) -> ChannelPolicy:
    """Give the policy of a channel's delivery, with `in_flight` calls at once."""
    return channel_policy(channel, timeout_s=TIMEOUT_S[channel], in_flight=in_flight, on_unknown=on_unknown)


@operator
def channel_sink(
    step_id: str,
    up: KeyedStream[list[RawRecord]],
    *,
    channel: ChannelDelivery,
    done: Done,
    in_gap: Callable[[], bool],
) -> KeyedStream[list[OutRecord]]:
    """Deliver one channel: arguments and guarantees are those of `operators.deliver.deliver`."""
    return deliver("deliver", up, channel=channel, done=done, in_gap=in_gap)
