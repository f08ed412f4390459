"""Step ids name state in the recovery store: this golden list changes only with a migration."""

import threading
from collections import Counter
from typing import Any

import pytest

from flows import steps, wiring
from flows.plan import GATE_FLOWS, ShardPlan
from operators.gate_parts import GateParts
from sinks.outbox import OutboxSink
from sources.source import ShardSource
from tocsin.model import topics
from tocsin.model.statuses import Channel

CHANNELS = ("email", "sms", "push", "inapp")
GOLDEN = [
    "tocsin.deliver_email.deliver.attempt",
    "tocsin.deliver_inapp.deliver.attempt",
    "tocsin.deliver_push.deliver.attempt",
    "tocsin.deliver_sms.deliver.attempt",
    "tocsin.fan_out.topics",
    "tocsin.gate.lanes",
    "tocsin.kafka",
    "tocsin.outbox",
    "tocsin.track.write",
]


class Nothing:
    """Stands for what wiring only passes on."""

    def in_gap(self) -> bool:
        return False


def stateful(step: Any) -> list[str]:
    """Ids of the steps that keep rows: inputs, stateful batches and outputs."""
    found = [step.step_id] if type(step).__name__ in {"input", "stateful_batch", "output"} else []
    return found + [name for part in step.substeps for name in stateful(part)]


def wire(*, gate: bool, channels: tuple[str, ...], track: bool) -> list[str]:
    nothing: Any = Nothing()
    source = ShardSource(nothing, nothing, stop=threading.Event())
    parts = wiring.FlowParts(
        source,
        OutboxSink(nothing),
        GateParts(nothing, nothing, nothing, Counter()) if gate else None,
        dict.fromkeys(channels, nothing),
        nothing if track else None,
        nothing,
        nothing,
        nothing if gate else None,
    )
    flow = wiring.build(parts)
    return sorted(name for step in flow.substeps for name in stateful(step))


def test_the_whole_pipeline_has_the_golden_steps() -> None:
    found = wire(gate=True, channels=CHANNELS, track=True)
    assert [name for name in found if "unary" not in name] == GOLDEN


def test_each_part_alone_has_the_same_ids_as_in_the_pipeline() -> None:
    whole = set(wire(gate=True, channels=CHANNELS, track=True))
    assert set(wire(gate=True, channels=(), track=False)) < whole
    assert set(wire(gate=False, channels=("sms",), track=False)) < whole
    assert set(wire(gate=False, channels=(), track=True)) < whole


@pytest.mark.parametrize("flow", ["pipeline", "decide", "deliver", "track"])
def test_a_plan_reads_the_topics_of_its_part(flow: str) -> None:
    plan = ShardPlan(1, 4, flow, (str(Channel.SMS), str(Channel.PUSH)))
    reads_gate = set(topics.GATE_INPUTS) <= set(plan.topics)
    assert reads_gate == (flow in GATE_FLOWS)
    assert (topics.OUTCOMES in plan.topics) == (flow in {"pipeline", "track"})
    assert (topics.messages("sms") in plan.topics) == (flow in {"pipeline", "deliver"})
    assert topics.messages("email") not in plan.topics
    assert plan.acked <= set(plan.topics)
    assert plan.partitions(10) == (1, 5, 9)


def test_pipeline_and_decide_share_the_gates_state_and_channels_do_not() -> None:
    both = {ShardPlan(0, 2, flow, CHANNELS).name for flow in GATE_FLOWS}
    assert both == {"gate-0"}
    assert ShardPlan(0, 2, "deliver", CHANNELS).name == "deliver-0"
    assert ShardPlan(0, 2, "deliver", ("sms",)).name == "deliver-sms-0"


def test_the_flow_is_named_once_for_ever() -> None:
    assert (steps.FLOW, steps.SOURCE, steps.OUTBOX) == ("tocsin", "kafka", "outbox")
