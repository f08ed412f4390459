"""Plan of a process: which shard of which flow it runs, and so which topics and partitions it reads."""

from typing import NamedTuple

from sinks.channels import DELIVERED
from tocsin.model import topics

FLOWS = ("pipeline", "decide", "deliver", "track")
GATE_FLOWS = ("pipeline", "decide")
DELIVER_FLOWS = ("pipeline", "deliver")
TRACK_FLOWS = ("pipeline", "track")


class ShardPlan(NamedTuple):
    """Says what one process runs.

    Attributes:
        number: number of the shard, from 0.
        shards: number of shards.
        flow: pipeline, decide, deliver or track.
        channels: channels to deliver, if the flow delivers.
    """

    number: int
    shards: int
    flow: str
    channels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the state directory. `pipeline` and `decide` share it: both keep the gate's state."""
        if self.flow in GATE_FLOWS:
            return f"gate-{self.number}"
        which = "" if set(self.channels) >= set(DELIVERED) else "-" + "-".join(sorted(self.channels))
        return f"{self.flow}{which}-{self.number}"

    @property
    def has_gate(self) -> bool:
        """Whether the flow decides events."""
        return self.flow in GATE_FLOWS

    @property
    def has_tracker(self) -> bool:
        """Whether the flow writes outcomes, dead letters and audit records to ClickHouse."""
        return self.flow in TRACK_FLOWS

    @property
    def own_channels(self) -> tuple[str, ...]:
        """Channels that the process delivers."""
        wanted = self.channels if self.flow in DELIVER_FLOWS else ()
        return tuple(name for name in DELIVERED if name in wanted)

    @property
    def acked(self) -> frozenset[str]:
        """Topics whose records are finished later than they are read."""
        messages = [topics.messages(name, bulk=bulk) for name in self.own_channels for bulk in (False, True)]
        return frozenset([*messages, *(topics.TRACKED if self.has_tracker else ())])

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics that the process reads."""
        gate = topics.GATE_INPUTS if self.has_gate else ()
        return (*gate, *[name for name in topics.ALL if name in self.acked])

    def partitions(self, of: int) -> tuple[int, ...]:
        """Partitions that the shard owns, of that many."""
        return tuple(range(self.number, of, self.shards))
