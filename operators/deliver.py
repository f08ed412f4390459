"""Deliver: messages to providers, without ever blocking the worker; outcomes, retries and dead letters out.

Guarantees:
- A message is acknowledged (`done`) in the same epoch in which the last of what it put out is emitted. So
  after a crash it is read again unless all of that is durable, and the ledger then gives the very same bytes.
- Per user and channel, calls are made in the order of the records, also through quick retries.
- Nothing is emitted between the end of an epoch and its durability.
- No exception of a template, adapter or server reaches the worker.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from tocsin.delivery.channel import ChannelDelivery
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.rfc3339 import LATEST_MS

Done = Callable[[str, int, int], None]
# The only key of the stateful step: there is no state to split, and one key means one timer to poll.
_KEY = "outbox"


class DeliverLogic(StatefulBatchLogic[list[RawRecord], list[OutRecord], tuple[()]]):
    """Hangs a channel into Bytewax: polls while calls are out, emits and acknowledges together."""

    def __init__(self, channel: ChannelDelivery, done: Done, in_gap: Callable[[], bool]) -> None:
        self._channel = channel
        self._done = done
        self._in_gap = in_gap

    def on_batch(self, values: list[list[RawRecord]]) -> tuple[list[list[OutRecord]], bool]:
        """Queue records and go on."""
        for records in values:
            self._channel.accept(records)
        return self.on_notify()

    def on_notify(self) -> tuple[list[list[OutRecord]], bool]:
        """Go on; emit unless an epoch is just becoming durable."""
        self._channel.advance()
        return ([] if self._in_gap() else self._emit()), False

    def on_eof(self) -> tuple[list[list[OutRecord]], bool]:
        """Wait a bounded time for calls that are out; the rest is read again at the next start."""
        self._channel.drain()
        return self._emit(), False

    def notify_at(self) -> datetime | None:
        """Say when there is something to do."""
        due_ms = self._channel.wake_at_ms()
        return None if due_ms is None else datetime.fromtimestamp(min(due_ms, LATEST_MS) / 1000, UTC)

    def snapshot(self) -> tuple[()]:
        """Keep nothing: the source's offsets are the state."""
        return ()

    def _emit(self) -> list[list[OutRecord]]:
        out, acks = self._channel.take_output()
        for topic, partition, offset in acks:
            self._done(topic, partition, offset)
        return [out] if out else []


@operator
def deliver(
    step_id: str,
    up: KeyedStream[list[RawRecord]],
    *,
    channel: ChannelDelivery,
    done: Done,
    in_gap: Callable[[], bool],
) -> KeyedStream[list[OutRecord]]:
    """Deliver the records of one channel's topics; what comes out is keyed for the outbox.

    Args:
        step_id: names the step in the recovery store.
        up: records of `messages.<channel>.*`, keyed by anything; of a user in order.
        channel: the channel, whose `allowance` the source respects.
        done: called with topic, partition and offset of every record that is finished.
        in_gap: whether an epoch has ended and is not durable yet.
    """
    bundles = op.flat_map_batch("bundle", up, lambda batch: [(_KEY, records) for _, records in batch])
    return op.stateful_batch("attempt", bundles, lambda _resume: DeliverLogic(channel, done, in_gap))
