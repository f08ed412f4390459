"""The channel sink operator: one step a channel."""

from collections.abc import Callable

from bytewax.dataflow import operator
from bytewax.operators import KeyedStream

from operators.deliver import Done, deliver
from tocsin.delivery.channel import ChannelDelivery
from tocsin.model.raw import OutRecord, RawRecord


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
