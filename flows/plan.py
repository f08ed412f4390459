"""Plan of a process: which shard of which flow it runs, and so which topics and partitions it reads."""

from typing import NamedTuple

from tocsin.model import topics
from tocsin.model.channels import in_order
from tocsin.model.statuses import Channel

FLOWS = ("pipeline", "decide", "deliver", "track", "reports")
REPORTS = "reports"
"""It posts delivery reports: no dataflow, but a process of its own under the same supervisor."""
GATE_FLOWS = ("pipeline", "decide")
DELIVER_FLOWS = ("pipeline", "deliver")
TRACK_FLOWS = ("pipeline", "track")
_ALL_ONCE = frozenset({Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.INAPP})
"""Whoever names all channels of the first release has the state of a process that delivers all."""


class ShardPlan(NamedTuple):
    """Says what one process runs.

    Attributes:
        number: number of the shard, from 0.
        shards: number of shards.
        flow: pipeline, decide, deliver, track or reports.
        channels: the only channels to deliver, if the flow delivers; empty for all.
        there: the channels that there are to deliver, if none are named.
        chosen: the partitions that a consumer group gave it (`flows.elastic`); None for its fixed share.
    """

    number: int
    shards: int
    flow: str
    channels: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    chosen: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the state directory. `pipeline` and `decide` share it: both keep the gate's state."""
        if self.flow in GATE_FLOWS:
            return f"gate-{self.number}"
        has_all = not self.channels or set(self.channels) >= _ALL_ONCE
        which = "" if has_all else "-" + "-".join(sorted(self.channels))
        elastic = "-elastic" if self.chosen is not None else ""
        return f"{self.flow}{which}{elastic}-{self.number}"

    @property
    def state_share(self) -> tuple[int, int]:
        """Return which share of the partitions its state may be about; of chosen ones any."""
        return (self.number, self.shards) if self.chosen is None else (0, 1)

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
        return in_order(self.channels or self.there) if self.flow in DELIVER_FLOWS else ()

    @property
    def acked(self) -> frozenset[str]:
        """Topics whose records are finished later than they are read."""
        return frozenset(
            [*topics.messages_of(self.own_channels), *(topics.TRACKED if self.has_tracker else ())]
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics that the process reads."""
        gate = topics.GATE_INPUTS if self.has_gate else ()
        tracked = topics.TRACKED if self.has_tracker else ()
        return (*gate, *topics.messages_of(self.own_channels), *tracked)

    def partitions(self, of: int) -> tuple[int, ...]:
        """Partitions that the shard owns, of that many."""
        if self.chosen is not None:
            return tuple(partition for partition in self.chosen if partition < of)
        return tuple(range(self.number, of, self.shards))
