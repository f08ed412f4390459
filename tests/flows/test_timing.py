"""What a key group may know of time between records."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from flows.timing import FlowTiming

WALL = datetime(2030, 1, 1, tzinfo=UTC)
WALL_MS = int(WALL.timestamp() * 1000)


@dataclass
class Shard:
    in_gap: bool = False


@dataclass
class Clocks:
    times: dict[int, int] = field(default_factory=lambda: {0: 1_000, 1: 2_000})

    def stable(self, partition: int) -> int:
        return self.times[partition]


def timing(*, stream: bool, caught_up: bool, shard: Shard | None = None) -> FlowTiming:
    return FlowTiming(shard or Shard(), Clocks(), lambda _partition: caught_up, lambda: WALL, stream=stream)


@pytest.mark.parametrize(
    ("stream", "caught_up", "until"),
    [(False, True, WALL_MS), (False, False, 2_000), (True, True, 2_000), (True, False, 2_000)],
)
def test_the_wall_counts_only_where_everything_is_read(stream: bool, caught_up: bool, until: int) -> None:
    assert timing(stream=stream, caught_up=caught_up).fire_until(1) == until


def test_the_gap_is_the_shards() -> None:
    shard = Shard()
    seen = timing(stream=False, caught_up=True, shard=shard)
    assert not seen.in_gap()
    shard.in_gap = True
    assert seen.in_gap()
