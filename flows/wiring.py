"""Wiring of the dataflow: source with decoder ► the steps of the flow ► outbox."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import KeyedStream

from flows import steps
from operators.decode_parts import Routed
from operators.fan_out import fan_out
from operators.fan_out_parts import FanOutParts
from operators.gate import decide
from operators.gate_parts import GateParts, Timing
from operators.track import Writer, track
from sinks.channels import channel_sink
from sinks.outbox import OutboxSink
from sources.source import ShardSource
from tocsin.delivery.channel import ChannelDelivery
from tocsin.model.raw import RawRecord

Done = Callable[[str, int, int], None]


class FlowParts(NamedTuple):
    """The parts of a flow. A part that is None or empty is left out.

    Attributes:
        source: reads and decodes the topics.
        outbox: publishes records once their epoch is durable.
        gate: parts of the gate step.
        channels: delivery of each channel, by its name.
        writer: writes outcomes to ClickHouse.
        done: reports a record of an acked topic as finished.
        timing: tells until when timers may fire.
        fan_out: parts of the fan-out, beside the gate.
    """

    source: ShardSource
    outbox: OutboxSink
    gate: GateParts | None
    channels: Mapping[str, ChannelDelivery]
    writer: Writer | None
    done: Done
    timing: Timing
    fan_out: FanOutParts | None = None


def build(parts: FlowParts) -> Dataflow:
    """Build the dataflow. Step ids name stored state (`flows.steps`), so they never change."""
    flow = Dataflow(steps.FLOW)
    routed: Stream[Routed] = op.input(steps.SOURCE, flow, parts.source)  # type: ignore[arg-type]  # invariant
    outs: list[Stream[Any]] = [_only(routed, steps.OUTBOX)]
    if parts.gate is not None:
        outs.append(decide(steps.GATE, _only(routed, steps.GATE), parts=parts.gate))
    if parts.fan_out is not None:
        outs.append(fan_out(steps.FAN_OUT, _only(routed, steps.FAN_OUT), parts=parts.fan_out))
    for name, channel in parts.channels.items():
        up: KeyedStream[list[RawRecord]] = _only(routed, name)
        step = f"{steps.DELIVER}_{name}"
        outs.append(channel_sink(step, up, channel=channel, done=parts.done, in_gap=parts.timing.in_gap))
    if parts.writer is not None:
        up = _only(routed, steps.TRACK)
        outs.append(track(steps.TRACK, up, writer=parts.writer, done=parts.done, timing=parts.timing))
    op.output(steps.OUTBOX, op.merge("outs", *outs), parts.outbox)
    return flow


def _only(routed: Stream[Routed], step: str) -> KeyedStream[Any]:
    """Select the bundles of one step, by key."""

    def pick(bundles: list[Routed]) -> list[tuple[str, Any]]:
        return [(one.key, one.bundle) for one in bundles if one.step == step]

    return op.flat_map_batch(f"to_{step}", routed, pick)
