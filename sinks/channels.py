"""The channel sink operators: e-mail, SMS, mobile push, in-app."""

from collections.abc import Callable

from bytewax.dataflow import operator
from bytewax.operators import KeyedStream

from operators.deliver import Done, deliver
from tocsin.delivery.channel import ChannelDelivery
from tocsin.model import channels
from tocsin.model.raw import OutRecord, RawRecord

DELIVERED = tuple(channels.DELIVERED)
"""The channels that are delivered. How long a call may take is declared by its provider (`Limits`)."""


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
